"""What a check is: a function that looks at one promise, and what is known about it beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from .environment import Environment
from .outcome import Outcome

Need = Callable[[Environment], Optional[str]]
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


def toolset(name: str) -> Need:
    """The image must hold a toolset."""

    def missing(env: Environment) -> str | None:
        return None if name in env.toolsets else f"toolset {name} is not in this image"

    return missing


def gpu(route: str) -> Need:
    """The stack's programs must reach a GPU this way."""

    def missing(env: Environment) -> str | None:
        return None if env.gpu_route == route else f"carbon:gpu is {env.gpu_route} in this stack"

    return missing


def service(name: str) -> Need:
    """A service must run beside the workspace."""

    def missing(env: Environment) -> str | None:
        return None if name in env.services else f"service {name} is not in this stack"

    return missing


def workspace_port(name: str) -> Need:
    """The stack must open a port of the workspace's, by its name in the catalogue."""

    def missing(env: Environment) -> str | None:
        ports = env.services.get("workspace", {}).get("ports", {})
        return None if name in ports else f"the workspace of this stack has no port {name}"

    return missing
