"""What can be expected of a machine, by its kind: the table in machines.json, which the host's check reads, too.

OpenGL and Vulkan: the least version, and what renders, where that is certain (`any` where it is not). The rest:
`required`; `impossible`, as there is no such thing for this kind; `off`, as nobody asked for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .environment import Environment

_DOCKER_NAMES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_TABLE: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("machines.json").read_text(encoding="utf-8")
)


def kind(env: Environment) -> str:
    """The kind of machine that a container is: a GPU that is passed in counts before the processor."""
    if env.gpu_route in ("dri", "nvidia"):
        return env.gpu_route
    return "emulated" if find_emulator(env) else f"linux-{docker_name(env.machine)}"


def expected(env: Environment) -> dict[str, Any]:
    """The table's row for the machine."""
    return _TABLE[kind(env)]


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
