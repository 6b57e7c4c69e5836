"""A Jupyter kernel for Go: each cell goes to the interpreter Yaegi, in a process of its own beside this one."""

import codecs
import json
import os
import pathlib
import selectors
import signal
import subprocess

from carbon_kernel import CellError, CellKernel
from ipykernel.kernelapp import IPKernelApp

PROGRAM = pathlib.Path(__file__).with_name("go-cells")


class Ended(Exception):
    """The interpreter's process is gone, and with it what the cells had defined."""


class Interpreter:
    """The process, which keeps what the cells define."""

    def __init__(self) -> None:
        replies, child_end = os.pipe()
        self.process = subprocess.Popen(
            [PROGRAM, str(child_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[child_end],
            # Jupyter's interrupt goes to this process's whole group; here it is passed on once.
            start_new_session=True,
        )
        os.close(child_end)
        self.replies = replies
        self.streams = {self.process.stdout.fileno(): "stdout", self.process.stderr.fileno(): "stderr"}
        # A character's bytes may come in two parts.
        decoder = codecs.getincrementaldecoder("utf-8")
        self.decoders = {stream: decoder(errors="replace") for stream in self.streams}
        self.selector = selectors.DefaultSelector()
        for stream in (*self.streams, replies):
            os.set_blocking(stream, False)
            self.selector.register(stream, selectors.EVENT_READ)

    def ask(self, request: dict, show) -> dict:
        """Return the answer; what is printed until then goes to `show(stream, text)`."""
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Ended from error
        answer = b""
        while not answer.endswith(b"\n"):
            try:
                self.selector.select()
                self.print_all(show)
                answer += read(self.replies)
            except KeyboardInterrupt:
                self.process.send_signal(signal.SIGINT)
            except EOFError as error:
                self.print_all(show)
                raise Ended from error
        # The cell had printed everything before the interpreter answered.
        self.print_all(show)
        return json.loads(answer)

    def print_all(self, show) -> None:
        for stream, name in self.streams.items():
            try:
                while text := read(stream):
                    show(name, self.decoders[stream].decode(text))
            except EOFError:
                pass  # The replies end as well, and say so.


def read(stream: int) -> bytes:
    """What lies in a pipe now; EOFError where nothing ever will."""
    try:
        text = os.read(stream, 1 << 16)
    except BlockingIOError:
        return b""
    if not text:
        raise EOFError
    return text


class GoKernel(CellKernel):
    """Hands cells to the interpreter and shows what they print, and the value of their last line."""

    implementation = "carbon-go"
    language_info = {"name": "go", "mimetype": "text/x-go", "file_extension": ".go"}
    banner = "Go"
    interpreter = None

    def ask(self, request: dict, show) -> dict:
        if self.interpreter is None:
            self.interpreter = Interpreter()
        try:
            return self.interpreter.ask(request, show)
        except Ended:
            self.interpreter = None
            return {"error": "The Go interpreter has ended: what the cells had defined is gone."}

    def run_cell(self, code: str) -> None:
        answer = self.ask({"code": code}, self.show_text)
        if error := answer.get("error"):
            raise CellError(error)
        if "value" in answer:
            self.show_value(answer["value"])

    def do_complete(self, code, cursor_pos):
        answer = self.ask({"complete": code[:cursor_pos]}, lambda *_: None) if code[:cursor_pos] else {}
        return {
            "status": "ok",
            "matches": answer.get("matches", []),
            "cursor_start": cursor_pos - answer.get("replaces", 0),
            "cursor_end": cursor_pos,
            "metadata": {},
        }


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=GoKernel)
