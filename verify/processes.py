"""Programs that a check starts, and their certain end."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .outcome import CheckFailed

Identity = dict[str, Any]
"""Who a program runs as: arguments of subprocess.Popen. Empty: whoever runs this."""


def identity(user: str) -> Identity:
    """The user's, where this is root and there is such a user."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {}
    # With the groups of devices, which the start of the container has given.
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


@dataclass(frozen=True)
class Finished:
    """A program that ended."""

    code: int
    """Exit code; negative: the number of the signal that ended it, as in `subprocess`."""
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """How it ended and the last thing it said on stderr, in one line."""
        said = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        how = f"ended by {_signal_name(-self.code)}" if self.code < 0 else f"exit code {self.code}"
        return f"{how}: {said[-1]}" if said else how


class Processes:
    """Starts programs and stops those still running when the run is over.

    Each gets a session of its own, so that its children (Xvfb under xvfb-run) end with it. There is no time
    limit here: the runner has one per check, and stops what is left.
    """

    def __init__(self, identity: Identity) -> None:
        """Nothing runs yet. `identity`: who the programs run as."""
        self._identity = identity
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: str = "") -> Finished:
        """Runs a program to its end. `env` is its whole environment; `argv` must hold no secret.

        Raises CheckFailed where the program is not installed.
        """
        process = self._start(argv, env)
        try:
            stdout, stderr = process.communicate(stdin)
        finally:
            with self._lock:
                self._running.discard(process)
        return Finished(process.returncode, stdout, stderr)

    def stop(self) -> None:
        """Kills what runs, and starts nothing any more."""
        with self._lock:
            self._closed = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _start(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise CheckFailed(f"{argv[0]} was not started: the run is over")
            try:
                process = subprocess.Popen(
                    argv,
                    env=dict(env),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                    **self._identity,
                )
            except (FileNotFoundError, PermissionError) as error:
                raise CheckFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
            self._running.add(process)
            return process


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
