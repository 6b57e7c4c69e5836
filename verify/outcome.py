"""How a check ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How a check ended. Nothing that did not run is a PASS."""

    PASS = "PASS"
    """Seen to be as promised."""
    FAIL = "FAIL"
    """Not as promised, or could not be looked at."""
    SKIP = "SKIP"
    """Not asked for, or not this machine."""
    UNSUPPORTED = "UNSUPPORTED"
    """Cannot exist here, and was seen not to: Metal in a Linux container."""


@dataclass(frozen=True)
class Outcome:
    """What a check saw."""

    status: Status
    observed: str
    hint: str = ""


def passed(observed: str, hint: str = "") -> Outcome:
    """As promised. A hint on a PASS is a warning."""
    return Outcome(Status.PASS, observed, hint)


def unsupported(observed: str) -> Outcome:
    """Cannot exist here; `observed` holds the proof."""
    return Outcome(Status.UNSUPPORTED, observed)


class CheckFailed(Exception):
    """The promise is broken. `hint`, where given, is more to the point than the check's own."""

    def __init__(self, observed: str, hint: str = "") -> None:
        """`observed` is what was seen, in one line."""
        super().__init__(observed)
        self.observed = observed
        self.hint = hint


class CheckSkipped(Exception):
    """The check turned out not to apply to this machine; the message says why."""
