"""The machine."""

from __future__ import annotations

import os

from ..check import check, container
from ..environment import Environment
from ..outcome import CheckFailed, Outcome, passed

_DOCKER_NAMES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@check(
    "platform",
    expected="the image is built for the platform that it runs as",
    hint="docker image inspect the workspace's image, then rebuild it: ./carbon build",
    needs=(container,),
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


def docker_name(machine: str) -> str:
    """Docker's name of an architecture that the kernel names."""
    return _DOCKER_NAMES.get(machine, machine)


def find_emulator(env: Environment) -> str | None:
    """What runs this machine's programs, where that is not the CPU itself.

    Emulators answer uname() and fake /proc/self, but leave these alone: /proc/sys/kernel/arch (Linux 6.1 and
    newer), which is the kernel's own architecture, and /proc/thread-self/exe, which is the emulator.
    """
    try:
        program = os.path.basename(os.readlink(env.path("/proc/thread-self/exe")))
    except OSError:
        program = ""
    if program.startswith(("qemu-", "rosetta")):
        return program
    try:
        kernel = docker_name(env.path("/proc/sys/kernel/arch").read_text(encoding="utf-8").strip())
    except OSError:
        return None
    return None if kernel == docker_name(env.machine) else f"something on a linux/{kernel} kernel"
