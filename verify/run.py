"""Runs checks side by side."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .check import Check
from .environment import Environment
from .outcome import CheckFailed, CheckSkipped, Outcome, Status
from .report import Result


def run_checks(checks: Sequence[Check], env: Environment) -> list[Result]:
    """The results, in the order of the checks. Takes no longer than the longest limit.

    A check that raises, whatever it raises, or that takes longer than its limit is a FAIL. When this returns,
    every program that a check started has ended, and `env` is closed. No result holds a secret.
    """
    attempts = [_Attempt(check) for check in checks]
    started = time.monotonic()
    try:
        for attempt in attempts:
            # A daemon, because a thread cannot be ended: one that hangs must not keep the program alive.
            threading.Thread(target=attempt.make, args=(env,), name=attempt.check.id, daemon=True).start()
        for attempt in attempts:
            attempt.done.wait(max(0.0, started + attempt.check.limit - time.monotonic()))
        return [attempt.result(env) for attempt in attempts]
    finally:
        env.close()


class _Attempt:
    """One check under way."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.done = threading.Event()
        self._ended: _Ended | None = None

    def make(self, env: Environment) -> None:
        started = time.monotonic()
        outcome = _outcome(self.check, env)
        self._ended = _Ended(outcome, time.monotonic() - started)
        self.done.set()

    def result(self, env: Environment) -> Result:
        limit = self.check.limit
        ended = self._ended or _Ended(Outcome(Status.FAIL, f"timed out after {limit:g} s"), limit)
        outcome = ended.outcome
        hint = outcome.hint or (self.check.hint if outcome.status is Status.FAIL else "")
        return Result(
            id=self.check.id,
            status=outcome.status,
            expected=env.scrub(self.check.expected),
            observed=env.scrub(outcome.observed),
            seconds=round(ended.seconds, 2),
            hint=env.scrub(_fill(hint, env)),
        )


@dataclass(frozen=True)
class _Ended:
    outcome: Outcome
    seconds: float


def _outcome(check: Check, env: Environment) -> Outcome:
    try:
        reasons = (need(env) for need in check.needs)
        reason = next((reason for reason in reasons if reason), None)
        return Outcome(Status.SKIP, reason) if reason else check.look(env)
    except CheckSkipped as skipped:
        return Outcome(Status.SKIP, str(skipped))
    except CheckFailed as failure:
        return Outcome(Status.FAIL, failure.observed, failure.hint)
    except Exception as error:
        # Whatever went wrong, the promise was not seen to be kept.
        return Outcome(Status.FAIL, f"{type(error).__name__}: {error}")


def _fill(hint: str, env: Environment) -> str:
    # Not str.format: a hint may hold braces of its own.
    return re.sub(r"\{([a-z]+(?:-[a-z]+)*)\}", lambda match: env.container(match[1]), hint)
