"""Keeps programs running: `python supervise.py HOME`, for the gateway of kernels and the host's LLM server.

HOME/processes.json lists them: {"name": …, "argv": […], "env": {…}, "digest": …}. Each runs in HOME with that environment and no
other, and its output goes to HOME/logs/NAME.log, of which two files of 5 MB are kept. One that ends is started again,
after a second at first, and after up to a minute where it keeps ending. SIGHUP reads the list again and leaves
alone what is in it as before; SIGTERM ends all of them. HOME/run/state.json says what runs.

launchd and systemd run it where they are there. It needs nothing but Python.
"""

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES = 5_000_000
PATIENCE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 60


class Log:
    """A log file of bounded size, for the supervisor's own lines and for whatever a program writes."""

    def __init__(self, file: Path) -> None:
        self._handler = RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="replace")
        self._handler.terminator = ""

    def write(self, text: str) -> None:
        self._handler.emit(logging.LogRecord("", logging.INFO, "", 0, "%s", (text,), None))

    def say(self, text: str) -> None:
        self.write(f"[supervise {time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n")


class Supervised(threading.Thread):
    """One program, started again whenever it ends."""

    def __init__(self, spec: dict, home: Path, changed) -> None:
        super().__init__(daemon=True)
        self.spec = spec
        self._home = home
        self._changed = changed
        self._log = Log(home / "logs" / f"{spec['name']}.log")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._starts = 0
        self._since = 0.0
        # One pipe for all of the program's lives. What a kernel still writes to an old one's output is not lost, and
        # a kernel that lives on does not keep the end of its gateway from being seen.
        self._output, self._input = os.pipe()

    def state(self) -> dict:
        process = self._process
        alive = process is not None and process.poll() is None
        return {"pid": process.pid if alive else None, "since": self._since, "restarts": max(0, self._starts - 1)}

    def run(self) -> None:
        threading.Thread(target=self._keep_output, daemon=True).start()
        pause = 1
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run_once()
            pause = 1 if time.monotonic() - began > LONGEST_PAUSE_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
            if not self._stopping.is_set():
                self._log.say(f"Started again in {pause} s.")
            self._stopping.wait(pause)

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._log.say("It does not end, and is killed.")
            process.kill()
        self.join(PATIENCE_SECONDS)

    def _run_once(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            try:
                self._process = subprocess.Popen(
                    self.spec["argv"],
                    env=self.spec["env"],
                    cwd=self._home,
                    stdin=subprocess.DEVNULL,
                    stdout=self._input,
                    stderr=subprocess.STDOUT,
                )
            except OSError as error:
                self._log.say(f"It cannot be started: {error}")
                return
            self._starts += 1
            self._since = time.time()
        self._changed()
        code = self._process.wait()
        self._log.say(f"It ended with {code}.")
        self._changed()

    def _keep_output(self) -> None:
        while chunk := os.read(self._output, 65536):
            self._log.write(chunk.decode("utf-8", "replace"))


class Supervisor:
    """Those of the list, by name."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: dict[str, Supervised] = {}
        self._lock = threading.Lock()

    def reload(self) -> None:
        specs = {spec["name"]: spec for spec in json.loads((self._home / "processes.json").read_text())}
        for name in [name for name, one in self._running.items() if one.spec != specs.get(name)]:
            self._running.pop(name).stop()
        for name, spec in specs.items():
            if name not in self._running:
                self._running[name] = Supervised(spec, self._home, self._write_state)
                self._running[name].start()
        self._write_state()

    def stop(self) -> None:
        stopping = [threading.Thread(target=one.stop) for one in self._running.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self._running.clear()
        self._write_state()

    def _write_state(self) -> None:
        with self._lock:
            file = self._home / "run" / "state.json"
            new = file.with_suffix(".new")
            new.write_text(json.dumps({name: one.state() for name, one in list(self._running.items())}))
            new.replace(file)


def main(home: Path) -> None:
    os.umask(0o077)
    requests: queue.SimpleQueue = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: requests.put(received))
    supervisor = Supervisor(home)
    supervisor.reload()
    while requests.get() == signal.SIGHUP:
        supervisor.reload()
    supervisor.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
