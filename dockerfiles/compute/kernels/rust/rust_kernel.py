"""A Jupyter kernel for Rust: the cells so far are one program, which the image's rustc compiles.

A new cell makes a new program, so each cell runs the earlier ones again, without showing again what they print.
Cells are blocks, each inside the one before: a cell sees the names of earlier ones, may define them anew, and may
use `?`. A cell that fails or is interrupted is forgotten.
"""

import codecs
import contextlib
import os
import pathlib
import selectors
import signal
import subprocess
import tempfile

from carbon_kernel import CellError, CellKernel
from ipykernel.kernelapp import IPKernelApp
from rust_cells import Cell, Program, tails

SUPPORT = pathlib.Path(__file__).with_name("notebook.rs")


class Refused(CellError):
    """A cell does not compile."""


def run(command: list, show, **options) -> int:
    """Run a command to its end, hand what it prints to `show(stream, text)`, and return its status."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Jupyter's interrupt goes to this process's whole group.
        start_new_session=True,
        **options,
    )
    try:
        with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
            for stream, name in (process.stdout, "stdout"), (process.stderr, "stderr"):
                # A character's bytes may come in two parts.
                decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
                selector.register(stream, selectors.EVENT_READ, (name, decoder))
            while selector.get_map():
                ready = selector.select(timeout=0.1)
                for key, _ in ready:
                    name, decoder = key.data
                    if chunk := os.read(key.fd, 1 << 16):
                        show(name, decoder.decode(chunk))
                    else:
                        selector.unregister(key.fileobj)
                if not ready and process.poll() is not None:
                    break  # A process that it started has its output, but will end below.
        return process.wait()
    except KeyboardInterrupt as error:
        raise CellError("interrupted") from error
    finally:
        # The next program starts anew what this one started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Compiler:
    """Compiles and runs programs in a folder of its own."""

    def __init__(self) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="carbon-rust-")
        self.folder = pathlib.Path(self.temporary.name)
        self.reports = self.folder / "reports"

    def compile(self, program: Program) -> None:
        (self.folder / "cells.rs").write_text(program.text, encoding="utf-8")
        messages: list[str] = []
        command = ["rustc", "--edition=2021", "-Awarnings", "-Cincremental=incremental", "-oprogram", "cells.rs"]
        status = run(
            command,
            lambda _, text: messages.append(text),
            cwd=self.folder,
            env={**os.environ, "CARBON_REPORTS": str(self.reports)},
        )
        if status != 0:
            raise Refused(program.explained("".join(messages)).strip())

    def run(self, program: Program, show) -> str:
        """Run what was compiled last and return the value of its last cell, `()` for none."""
        self.reports.mkdir(exist_ok=True)
        for report in self.reports.iterdir():
            report.unlink()

        def located(name: str, text: str) -> None:
            show(name, program.located(text) if name == "stderr" else text)

        status = run([self.folder / "program"], located)
        if self.report("ended") is None or status != 0:
            ended = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            if self.report("shown") is not None:
                raise CellError(f"The program ended {ended}.")
            errors = program.located(self.report("hidden") or "")
            raise CellError(f"An earlier cell, run again, ended {ended}.\n{errors}".strip())
        return self.report("value") or "()"

    def report(self, name: str) -> str | None:
        file = self.reports / name
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None


class RustKernel(CellKernel):
    """Makes a program of the cells and shows what the newest one prints, and the value of its last expression."""

    implementation = "carbon-rust"
    language_info = {"name": "rust", "mimetype": "text/x-rustsrc", "file_extension": ".rs"}
    banner = "Rust"

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.compiler = Compiler()
        self.cells: list[Cell] = []

    def run_cell(self, code: str) -> None:
        for tail in [*tails(code), None]:
            cells = [*self.cells, Cell(self.execution_count, code, tail)]
            program = Program(cells, SUPPORT)
            try:
                self.compiler.compile(program)
            except Refused:
                # Whether this is an expression, only the compiler knows.
                if tail is None:
                    raise
                continue
            value = self.compiler.run(program, self.show_text)
            self.cells = cells
            if value != "()":
                self.show_value(value)
            return

    def do_shutdown(self, restart):
        self.compiler.temporary.cleanup()
        return super().do_shutdown(restart)


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=RustKernel)
