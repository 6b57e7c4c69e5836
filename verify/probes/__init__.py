"""Scripts for other interpreters than the one that runs the checks; started, never imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..environment import Environment
from ..outcome import CheckFailed


def ask(env: Environment, library: str, *, python: str = "", stdin: str = "") -> dict[str, Any]:
    """What the library's probe saw. It runs once, however many checks ask.

    A process of its own, so that a library that crashes is a FAIL, and not the end of the run. `python`: its
    interpreter, where that is not the one that has torch and TensorFlow.
    """
    return env.once(library, lambda: _run(env, library, python or env.python, stdin))


def _run(env: Environment, library: str, python: str, stdin: str) -> dict[str, Any]:
    script = Path(__file__).parent / f"{library}_probe.py"
    # -I: nothing of the user's environment counts. -B: no byte code is left behind.
    probe = env.run(python, "-I", "-B", str(script), stdin=stdin, TF_CPP_MIN_LOG_LEVEL="3")
    if probe.code != 0:
        raise CheckFailed(f"{library} does not work: {probe.complaint}")
    try:
        # The last line, because a library may greet its users.
        return json.loads(probe.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise CheckFailed(f"{library}'s probe printed no report") from error
