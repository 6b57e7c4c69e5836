"""What a kernel on the user's machine runs for carbon-gpu (gpu.py): a program as a process of its own.

It is a process and no cell, so that arguments, exit code, signals, imports and worker processes are what they would be in a
terminal. Each piece of its output is a message of its own kind, byte for byte.
"""

import base64
import os
import queue
import subprocess
import sys
import threading
import time

CARBON_TYPE = "application/vnd.carbon.program+json"


class CarbonProgram:
    """A running program. `is_one_stream`: stdout and stderr go to one place, in the order in which they are written;
    `kernel` is the one that runs this."""

    CHUNK = 32 * 1024
    PACE = 600_000
    """Bytes a second: a Jupyter server drops what a kernel says faster than 1 MB/s."""

    NOT_OURS = ("CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "JPY_PARENT_PID", "MPLBACKEND")
    """What a kernel has set for its own cells."""

    def __init__(self, arguments, environment, is_one_stream, kernel):
        self._kernel = kernel
        self._speaking = threading.Lock()
        self._input = queue.Queue(maxsize=64)
        # In the kernel's group of processes, which an interrupt reaches as a whole. A pipe would be buffered.
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if is_one_stream else subprocess.PIPE,
            bufsize=0,
            env={
                **{name: value for name, value in os.environ.items() if name not in self.NOT_OURS},
                **environment,
                "PYTHONUNBUFFERED": "1",
            },
        )
        readers = [
            threading.Thread(target=self._pass_on, args=(name, getattr(self._process, name)), daemon=True)
            for name in (("stdout",) if is_one_stream else ("stdout", "stderr"))
        ]
        for thread in (*readers, threading.Thread(target=self._feed, daemon=True)):
            thread.start()
        threading.Thread(target=self._finish, args=(readers,), daemon=True).start()

    def feed(self, data):
        """Bytes in base64 for its standard input; none at the end."""
        while self._process.poll() is None:
            try:
                self._input.put(base64.b64decode(data), timeout=0.5)
                return
            except queue.Full:
                pass

    def _feed(self):
        try:
            while data := self._input.get():
                self._process.stdin.write(data)
            self._process.stdin.close()
        except OSError:
            pass  # It has ended, or wants no more.

    def _pass_on(self, name, pipe):
        while data := pipe.read(self.CHUNK):
            self._say({"stream": name, "data": base64.b64encode(data).decode("ascii")}, len(data))

    def _finish(self, readers):
        code = self._process.wait()
        for reader in readers:
            # What it has left behind in the background may hold on to its output.
            reader.join(timeout=2)
        self._say({"exit": code})

    def _say(self, what, size=0):
        with self._speaking:
            self._kernel.send_response(
                self._kernel.iopub_socket, "display_data", {"data": {CARBON_TYPE: what}, "metadata": {}}
            )
            time.sleep(0.002 + size / self.PACE)
