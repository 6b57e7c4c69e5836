"""carbon-gpu: runs a Python program on the user's machine, where the GPU is, and not in the container.

It starts a kernel at the gateway on that machine, has it start the program (gpu_program.py) in the machine's own folder for
this one, and is its terminal until it ends.
"""

import argparse
import base64
import contextlib
import logging
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError, URLError

# The gateway is asked directly, whatever the network's proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

import requests
from carbon_jupyter import gateway
from jupyter_kernel_client.manager import KernelHttpManager, fetch

FAILED = 125
"""Exit code where the program could not be run, as `docker run` has it; all others are the program's."""
LIMIT = 10
"""Seconds that the gateway has for an answer."""
START_LIMIT = 75
"""Seconds that a kernel has to start; the gateway gives it 60."""
PREFERRED = ("mac-torch", "host-torch")
PROGRAM = Path(__file__).with_name("gpu_program.py")
TYPE = "application/vnd.carbon.program+json"

USAGE = """\
carbon-gpu [--kernel NAME] python [OPTION...] [FILE | -m MODULE | -c CODE] [ARGUMENT...]
       carbon-gpu [--kernel NAME] pip ARGUMENT...
       carbon-gpu status"""
DESCRIPTION = """\
Runs Python on your own machine, where its GPU is, in the same folder of /workspace. Output, input, arguments, the exit code
and Ctrl-C are passed on; Ctrl-C twice ends it at once. pip changes the Python that the kernel has there."""


class Lost(Exception):
    """The connection to the kernel is gone."""


class Ended(Exception):
    """Somebody wants this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def die(message: str, code: int = FAILED) -> NoReturn:
    """Ends with a sentence on stderr."""
    print(f"carbon-gpu: {message}", file=sys.stderr)
    sys.exit(code)


def printable(text: object) -> str:
    """What comes from elsewhere, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def terminal() -> dict[str, str]:
    """What a program asks about the terminal that it writes to: it sees pipes."""
    known = {"TERM": os.environ.get("TERM", "dumb"), "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**known, "FORCE_COLOR": "1"} if sys.stderr.isatty() and sys.stdout.isatty() else known


class Gateway:
    """The one of this stack."""

    def __init__(self, found: gateway.Gateway) -> None:
        """`found`: of the stack's document. It has to prove that it knows the token before it is shown."""
        gateway.prove(found.url, LIMIT)
        self.url, self.stack = found.url, found.stack
        self.headers = {"Authorization": f"token {gateway.token()}"}

    def ask(self, method: str, path: str, **options: object) -> requests.Response:
        """A request; raises requests' exceptions."""
        return fetch(f"{self.url}{path}", method=method, headers=dict(self.headers), **{"timeout": LIMIT, **options})

    def kernels(self) -> dict[str, str]:
        """What the gateway has: the names that JupyterLab shows, by name."""
        specs = self.ask("GET", "/api/kernelspecs").json()["kernelspecs"]
        return {name: specs[name]["spec"]["display_name"] + gateway.mark(specs[name]) for name in sorted(specs)}

    def start(self, kernel: str, folder: Path) -> str:
        """A kernel's id."""
        env = {"KERNEL_WORKING_DIR": str(folder), "CARBON_STACK": self.stack}
        request = {"name": kernel, "env": env}
        return self.ask("POST", "/api/kernels", json=request, timeout=START_LIMIT).json()["id"]

    def end(self, kernel_id: str) -> None:
        """Ends a kernel, and what it runs."""
        try:
            self.ask("DELETE", f"/api/kernels/{kernel_id}")
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                raise
        gateway.ended(kernel_id)


class Terminal:
    """Passes on what goes in and out between this process and the program."""

    def __init__(self, service: Gateway, kernel_id: str) -> None:
        """`kernel_id`: the program's kernel."""
        options = {"log": logging.getLogger("carbon-gpu")}
        # A token of its own would be in the address; the headers have it.
        self._manager = KernelHttpManager(
            service.url, None, kernel_id=kernel_id, headers=dict(service.headers), client_kwargs=options
        )
        self._client = self._manager.client
        # The gateway answers once the kernel does.
        self._client.timeout = START_LIMIT
        self._asked_to_stop = 0
        self._passed_on = 0

    def run(self, arguments: list[str]) -> int:
        """Runs Python with these arguments, and returns its exit code, a negative one for a signal."""
        signal.signal(signal.SIGINT, self._note_interrupt)
        self._client.start_channels(hb=False)
        try:
            if not self._client.channels_running:
                raise Lost
            source = PROGRAM.read_text(encoding="utf-8")
            options = f"{arguments!r}, {terminal()!r}, {os.path.sameopenfile(1, 2)}, get_ipython().kernel"
            self._execute(f"{source}\n\ncarbon_program = CarbonProgram({options})")
            threading.Thread(target=self._pass_on_input, daemon=True).start()
            return self._pass_on_output()
        finally:
            # Its thread looks up every ten seconds, which nobody has to wait for.
            self._client.timeout = 0.1
            self._client.stop_channels()

    def _execute(self, code: str) -> str:
        return self._client.execute(code, store_history=False, allow_stdin=False)

    def _pass_on_output(self) -> int:
        while True:
            if self._asked_to_stop > self._passed_on:
                self._pass_on_interrupt()
            try:
                message = self._client.iopub_channel.get_msg(timeout=0.1)
            except queue.Empty:
                if not self._client.channels_running:
                    raise Lost from None
                continue
            content = message["content"]
            if message["msg_type"] == "error" and content["ename"] != "KeyboardInterrupt":
                die(f"the kernel could not start the program: {printable(content['evalue'])}")
            said = content.get("data", {}).get(TYPE, {}) if message["msg_type"] == "display_data" else {}
            if "exit" in said:
                return said["exit"]
            if "stream" in said:
                stream = (sys.stdout if said["stream"] == "stdout" else sys.stderr).buffer
                stream.write(base64.b64decode(said["data"]))
                stream.flush()

    def _pass_on_input(self) -> None:
        data = b"."
        while data:
            # Who reads a terminal from the background is stopped.
            while os.isatty(0) and os.tcgetpgrp(0) != os.getpgrp():
                time.sleep(0.5)
            try:
                data = os.read(0, 32 * 1024)
            except OSError:
                data = b""
            number = self._execute(f"carbon_program.feed({base64.b64encode(data)!r})")
            # No faster than the program takes it.
            while self._client.shell_channel.get_msg()["parent_header"].get("msg_id") != number:
                pass

    def _note_interrupt(self, *_: object) -> None:
        self._asked_to_stop += 1
        if self._asked_to_stop > 1:
            raise Ended(signal.SIGINT)

    def _pass_on_interrupt(self) -> None:
        self._passed_on = self._asked_to_stop
        with contextlib.suppress(requests.RequestException):
            self._manager.interrupt_kernel(timeout=LIMIT)


def run(service: Gateway, kernel: str | None, arguments: list[str]) -> int:
    """Runs Python on the machine; its exit code as a shell has it."""
    folder = Path.cwd().resolve()
    if not folder.is_relative_to(gateway.WORKSPACE):
        die(f"your machine has {gateway.WORKSPACE} alone, and this is {printable(folder)}: cd {gateway.WORKSPACE} first.")
    kernels = service.kernels()
    chosen = choose(kernel, kernels)
    kernel_id = service.start(chosen, folder)
    with gateway.working_with(kernel_id):
        try:
            code = Terminal(service, kernel_id).run(arguments)
        except Lost:
            die(f"the connection to the kernel on your machine is lost.\n{gateway.explain(None)}")
        finally:
            # Nothing may come between now.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            end(service, kernel_id)
    return code if code >= 0 else 128 - code


def end(service: Gateway, kernel_id: str) -> None:
    """Ends a kernel; where that cannot be, JupyterLab or the next carbon-gpu does."""
    with contextlib.suppress(requests.RequestException):
        service.end(kernel_id)


def choose(wanted: str | None, kernels: dict[str, str]) -> str:
    """The kernel to take."""
    if wanted in kernels:
        return wanted
    if wanted:
        known = ", ".join(map(printable, kernels)) or "none"
        die(f"your machine has no kernel {printable(wanted)}. It has: {known}.", 2)
    if not kernels:
        die("your machine has no kernels. Type ./carbon gpu install there.")
    return next((name for name in PREFERRED if name in kernels), next(iter(kernels)))


def status(service: Gateway) -> int:
    """Prints what there is."""
    kernels = service.kernels()
    print(f"The kernel gateway at {printable(service.url)} answers. Its kernels:")
    for name, title in kernels.items():
        print(f"  {printable(name):18}{printable(title)}")
    if kernels:
        print(f"Without --kernel it is {printable(choose(None, kernels))}.")
    running = service.ask("GET", "/api/kernels").json()
    print(f"{len(running)} of them run{'s' if len(running) == 1 else ''} now.")
    return 0


def on_signal(number: int, _frame: object) -> NoReturn:
    """Ends in good order."""
    raise Ended(number)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="carbon-gpu", usage=USAGE, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--kernel", metavar="NAME", help="the Python to take there; default: the one for PyTorch")
    parser.add_argument("command", choices=["python", "pip", "status"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def python_arguments(command: str, arguments: list[str]) -> list[str]:
    """What Python is started with there."""
    if command == "pip":
        return ["-m", "pip", *arguments]
    if not arguments and os.isatty(0):
        return ["-i"]
    if arguments and Path(arguments[0]).is_relative_to(gateway.WORKSPACE):
        # Its name there is another; from this folder it is the same.
        return [os.path.relpath(arguments[0]), *arguments[1:]]
    return arguments


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    logging.disable()
    found = gateway.find()
    if not found:
        die(
            "this stack does not use your machine's GPU. On your machine, type "
            "pulumi config set gpu host or write carbon:gpu: host into Pulumi.<stack>.yaml, then ./carbon up."
        )
    try:
        service = Gateway(found)
        for kernel_id in gateway.left_behind():
            end(service, kernel_id)
        if options.command == "status":
            return status(service)
        return run(service, options.kernel, python_arguments(options.command, options.arguments))
    except gateway.Stranger:
        die(gateway.explain(401))
    except HTTPError as error:
        die(gateway.explain(error.code))
    except requests.HTTPError as error:
        die(gateway.explain(error.response.status_code))
    except (requests.RequestException, URLError, TimeoutError):
        die(gateway.explain(None))
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except Ended as ended:
        return ended.code


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except SystemExit as error:
        code = error.code
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    # Without waiting for threads: one waits for input, one for the connection.
    os._exit(code)
