"""OpenGL and Vulkan, on the CPU where no GPU is passed in: containers on a Mac have none."""

from __future__ import annotations

import os
import re
import shutil

from ..check import check, toolset
from ..environment import Environment
from ..machines import expected
from ..outcome import CheckFailed, CheckSkipped, Outcome, passed

_DISPLAY = 1
_XAUTHORITY = "/home/carbon/.Xauthority"
_NO_GPU = (
    "the engine's machine has /dev/dri, but none of its devices can be used here: ls -l /dev/dri in the workspace; or "
    "pulumi config set carbon:gpu off"
)


@check(
    "opengl",
    expected="renderer llvmpipe, not accelerated, core profile 4.5 or newer; with /dev/dri the device's may be it",
    hint="docker exec --user carbon {workspace} glxinfo -B",
    needs=(toolset("graphics"),),
)
def opengl(env: Environment) -> Outcome:
    """OpenGL programs run, on the CPU where no GPU is passed in.

    Expected: Mesa's llvmpipe, which implements OpenGL 4.5 (docs.mesa3d.org/drivers/llvmpipe.html). The
    renderer's LLVM version and vector width belong to the build and the CPU, and are no promise. With /dev/dri, the
    device's driver, or llvmpipe where that has no OpenGL (Venus is for Vulkan alone).
    """
    wanted = expected(env)["opengl"]
    info = _glxinfo(env)
    renderer = _value(info, r"OpenGL renderer string: (.+)")
    accelerated = _value(info, r"Accelerated: (\w+)")
    core = _value(info, r"Max core profile version: ([\d.]+)")
    observed = f"{renderer}, accelerated: {accelerated}, core profile {core}"
    is_llvmpipe = "llvmpipe" in renderer and accelerated == "no"
    is_device = wanted["renderer"] == "any" and accelerated == "yes"
    if not (is_llvmpipe or is_device) or _version(core) < _version(wanted["core"]):
        raise CheckFailed(observed)
    return passed(observed)


@check(
    "vulkan",
    expected="a device on the CPU (lavapipe), API 1.3 or newer; with /dev/dri a device that is not the CPU",
    hint="docker exec {workspace} vulkaninfo --summary",
    needs=(toolset("graphics"),),
)
def vulkan(env: Environment) -> Outcome:
    """Vulkan programs run: on the GPU where one is passed in, else on the CPU.

    Expected: Mesa's lavapipe, Vulkan 1.3 since Mesa 23 and 1.4 in Debian 13's Mesa 25. It lists itself as a
    device of type CPU, so only another type means a GPU, which carbon:gpu dri promises (Venus, or a native driver).
    """
    wanted = expected(env)["vulkan"]
    # With a display it cannot open (programs here have no key to the desktop's) vulkaninfo gives up before any device.
    finished = env.run("vulkaninfo", "--summary", DISPLAY="")
    devices = [
        (
            _value(block, r"deviceName\s*= (.+)"),
            _value(block, r"deviceType\s*= PHYSICAL_DEVICE_TYPE_(\w+)"),
            api,
        )
        for block in re.split(r"^GPU\d+:$", finished.stdout, flags=re.MULTILINE)[1:]
        if (api := _value(block, r"apiVersion\s*= ([\d.]+)"))
    ]
    if finished.code != 0 or not devices:
        raise CheckFailed(f"vulkaninfo found no device: {finished.complaint}")
    observed = "; ".join(
        f"{name}, Vulkan {api}, {'on the CPU' if kind == 'CPU' else 'a GPU: ' + kind}"
        for name, kind, api in devices
    )
    if wanted["device"] == "GPU":
        devices = [device for device in devices if device[1] != "CPU"]
        if not devices:
            raise CheckFailed(f"{observed}: no GPU among them", _NO_GPU)
    if max(_version(api) for _, _, api in devices) < _version(wanted["api"]):
        raise CheckFailed(observed)
    return passed(observed)


def _glxinfo(env: Environment) -> str:
    """On the desktop's display or, where no desktop runs, on a display of its own."""
    if os.path.lexists(env.path(f"/tmp/.X11-unix/X{_DISPLAY}")):
        finished = env.run("glxinfo", "-B", DISPLAY=f":{_DISPLAY}", XAUTHORITY=_XAUTHORITY)
    elif shutil.which("xvfb-run", path=env.variables.get("PATH")):
        finished = env.run("xvfb-run", "--auto-servernum", "glxinfo", "-B")
    elif "desktop" in env.toolsets:
        raise CheckFailed(f"the desktop's X server :{_DISPLAY} does not run", "docker logs {workspace}")
    else:
        raise CheckSkipped("glxinfo needs an X server: toolset desktop is not in this image, nor is xvfb-run")
    if finished.code != 0:
        raise CheckFailed(f"glxinfo failed: {finished.complaint}")
    return finished.stdout


def _value(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else "?"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
