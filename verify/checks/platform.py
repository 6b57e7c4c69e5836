"""The machine."""

from __future__ import annotations

from ..check import check
from ..environment import Environment
from ..machines import docker_name, find_emulator
from ..outcome import CheckFailed, Outcome, passed


@check(
    "platform",
    expected="the image is built for the platform that it runs as",
    hint="docker image inspect the workspace's image, then rebuild it: ./carbon build",
)
def platform(env: Environment) -> Outcome:
    """The image is built for this machine; where it is emulated, the report says so.

    Expected: the platform that the Dockerfile wrote into image.json (BuildKit's TARGETPLATFORM) equals the
    architecture that programs see here. Emulation works and is slow, so it is a warning.
    """
    image = str(env.image()["platform"])
    machine = f"linux/{docker_name(env.machine)}"
    if image != machine:
        raise CheckFailed(f"the image says {image}, the machine is {machine}")
    emulator = find_emulator(env)
    if emulator:
        return passed(
            f"{image}, emulated by {emulator}",
            "emulated programs are several times slower; for this machine's own platform: "
            "pulumi config set --path 'carbon:platforms[0]' native",
        )
    return passed(f"{image}, native")
