from __future__ import annotations

import base64
import os
import queue
import time
import unittest
from unittest import mock

from gpu_program import CARBON_TYPE, CarbonProgram


class Kernel:
    """As much of ipykernel's as the program uses: it sends messages."""

    iopub_socket = object()

    def __init__(self) -> None:
        self.messages: queue.Queue[tuple[float, dict]] = queue.Queue()

    def send_response(self, socket: object, kind: str, content: dict) -> None:
        assert (socket, kind) == (self.iopub_socket, "display_data")
        self.messages.put((time.monotonic(), content["data"][CARBON_TYPE]))


class Programs(unittest.TestCase):
    def start(self, *arguments: str, is_one_stream: bool = False, **environment: str) -> CarbonProgram:
        self.kernel = Kernel()
        return CarbonProgram(list(arguments), environment, is_one_stream, self.kernel)

    def finish(self, seconds: float = 20) -> tuple[int, bytes, bytes]:
        """Its exit code, and what it wrote to stdout and to stderr."""
        written = {"stdout": b"", "stderr": b""}
        self.times: list[float] = []
        while True:
            moment, said = self.kernel.messages.get(timeout=seconds)
            if "exit" in said:
                return said["exit"], written["stdout"], written["stderr"]
            self.times.append(moment)
            written[said["stream"]] += base64.b64decode(said["data"])

    def run_program(self, *arguments: str, **environment: str) -> tuple[int, bytes, bytes]:
        self.start(*arguments, **environment)
        return self.finish()

    def test_tells_the_streams_apart_byte_for_byte(self) -> None:
        code = "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.write('ä')"
        self.assertEqual(self.run_program("-c", code), (0, bytes(range(256)), "ä".encode()))

    def test_keeps_the_order_of_what_goes_to_one_place(self) -> None:
        code = "import sys\nfor i in range(200): print(i); print(i, file=sys.stderr)"
        self.start("-c", code, is_one_stream=True)
        self.assertEqual(self.finish()[1], "".join(f"{i}\n{i}\n" for i in range(200)).encode())

    def test_passes_on_arguments_and_the_exit_code(self) -> None:
        code = "import sys; print(sys.argv[1:]); sys.exit(3)"
        self.assertEqual(self.run_program("-c", code, "a b", "--c"), (3, b"['a b', '--c']\n", b""))

    def test_ends_with_a_traceback_and_1_where_the_program_raises(self) -> None:
        code, _, errors = self.run_program("-c", "1/0")
        self.assertEqual(code, 1)
        self.assertIn(b"ZeroDivisionError: division by zero", errors)

    def test_says_which_signal_ended_it(self) -> None:
        self.assertEqual(self.run_program("-c", "import os; os.kill(os.getpid(), 9)")[0], -9)

    def test_says_at_once_what_is_printed(self) -> None:
        self.run_program("-c", "import time; print(1); time.sleep(1); print(2)")
        self.assertGreater(self.times[-1] - self.times[0], 0.8)

    def test_hands_over_what_is_typed_and_its_end(self) -> None:
        program = self.start("-c", "print(input()); import sys; print(len(sys.stdin.read()))")
        for data in (b"Ada\n", b"x" * 200_000, b""):
            program.feed(base64.b64encode(data))
        self.assertEqual(self.finish()[1], b"Ada\n200000\n")

    def test_waits_for_no_program_that_reads_nothing_and_has_ended(self) -> None:
        program = self.start("-c", "import time; time.sleep(1)")
        begin = time.monotonic()
        for _ in range(100):
            program.feed(base64.b64encode(b"x" * 100_000))
        self.assertEqual(self.finish()[0], 0)
        self.assertLess(time.monotonic() - begin, 10)

    def test_ends_with_the_program_whatever_it_leaves_behind(self) -> None:
        code = "import subprocess; subprocess.Popen(['sleep', '15']); print('left')"
        begin = time.monotonic()
        self.assertEqual(self.run_program("-c", code)[:2], (0, b"left\n"))
        self.assertLess(time.monotonic() - begin, 10)

    def test_has_the_machines_environment_without_what_is_the_kernels(self) -> None:
        code = "import os; print([os.environ.get(n) for n in ('MPLBACKEND', 'FORCE_COLOR', 'JPY_PARENT_PID', 'MINE', 'TERM')])"
        kernels = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "FORCE_COLOR": "1", "JPY_PARENT_PID": "1"}
        with mock.patch.dict(os.environ, {**kernels, "MINE": "yes"}):
            self.assertEqual(self.run_program("-c", code, TERM="xterm")[1], b"[None, None, None, 'yes', 'xterm']\n")

    def test_is_slower_than_what_a_jupyter_server_drops(self) -> None:
        begin = time.monotonic()
        self.assertEqual(len(self.run_program("-c", "print('x' * 1_800_000)")[1]), 1_800_001)
        self.assertGreater(time.monotonic() - begin, 2)
