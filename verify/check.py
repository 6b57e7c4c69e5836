"""What a check is: a function that looks at one promise, and what is known about it beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from .report import Status

if TYPE_CHECKING:
    from .environment import Environment


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


Need = Callable[["Environment"], Optional[str]]
"""Why a check does not apply here, or None where it does."""


@dataclass(frozen=True)
class Check:
    """A promise and the function that looks at it."""

    id: str
    promise: str
    """One sentence: the first line of the function's docstring."""
    expected: str
    hint: str
    """What to type next when it fails. `{workspace}`, `{postgres}` and so on are container names."""
    needs: tuple[Need, ...]
    limit: float
    """Seconds until it counts as failed."""
    look: Callable[[Environment], Outcome]


def check(
    id: str, *, expected: str, hint: str, needs: tuple[Need, ...] = (), limit: float = 60
) -> Callable[[Callable[[Environment], Outcome]], Check]:
    """Makes a Check of a function; the parameters are Check's fields."""

    def make(look: Callable[[Environment], Outcome]) -> Check:
        promise = (look.__doc__ or "").strip().splitlines()[0]
        return Check(id, promise, expected, hint, needs, limit, look)

    return make


def toolset(name: str, *, on_mac: bool = False) -> Need:
    """The image must hold a toolset. `on_mac`: the check also makes sense on a macOS host."""

    def missing(env: Environment) -> str | None:
        if env.is_mac:
            return None if on_mac else "not part of a macOS host"
        if name in env.toolsets:
            return None
        return f"toolset {name} is not in this image"

    return missing


def compute_image(env: Environment) -> str | None:
    """The image must be compute, which always has JupyterLab."""
    if env.is_mac:
        return "not part of a macOS host"
    return None if env.image_name == "compute" else "the image is not compute"


def workspace(env: Environment) -> str | None:
    """The machine must be the workspace container."""
    return "not part of a macOS host" if env.is_mac else None


def service(name: str) -> Need:
    """A service must run beside the workspace."""

    def missing(env: Environment) -> str | None:
        return None if name in env.services else f"service {name} is not in CARBON_SERVICES"

    return missing
