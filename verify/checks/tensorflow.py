"""TensorFlow: that it computes, and on what."""

from __future__ import annotations

from ..check import check, toolset
from ..environment import VENV_PYTHON, Environment
from ..outcome import CheckFailed, Outcome, passed, unsupported
from ..probes import ask

_LIMIT = 120.0
_HINT = f"docker exec {{workspace}} {VENV_PYTHON} -c 'import tensorflow'"


@check(
    "tensorflow",
    expected="a matrix product equal to NumPy's; devices: a CPU, and no GPU",
    hint=_HINT,
    needs=(toolset("tensorflow"),),
    limit=_LIMIT,
)
def tensorflow(env: Environment) -> Outcome:
    """TensorFlow imports and multiplies matrices as NumPy does, on the CPU.

    Expected: NumPy's own product; and list_physical_devices() with a CPU and, in a container, without a GPU,
    because the images hold no build that could use one.
    """
    seen = ask(env, "tensorflow")
    devices = f"CPU {seen['cpus']}, GPU {seen['gpus']}"
    if not seen["equal"]:
        raise CheckFailed(f"TensorFlow {seen['version']}: its product differs from NumPy's; {devices}")
    if not seen["cpus"] or seen["gpus"]:
        raise CheckFailed(f"TensorFlow {seen['version']}: {devices}")
    return passed(f"TensorFlow {seen['version']}, product equal to NumPy's, {devices}")


@check(
    "tensorflow-metal",
    expected="not installed, no GPU: it is for macOS alone",
    hint=_HINT,
    needs=(toolset("tensorflow"),),
    limit=_LIMIT,
)
def tensorflow_metal(env: Environment) -> Outcome:
    """TensorFlow's plug-in for a Mac's GPU is not here, as there is none for Linux.

    Expected: tensorflow-metal has wheels for macOS alone (pypi.org/project/tensorflow-metal/#files). The Mac's own is
    looked at by `carbon verify --target host`.
    """
    seen = ask(env, "tensorflow")
    facts = f"tensorflow-metal {seen['metal'] or 'not installed'}, GPU {seen['gpus']}"
    if seen["metal"] or seen["gpus"]:
        raise CheckFailed(f"{facts}: neither can be in Linux")
    return unsupported(f"{facts}: it has no Linux wheel")
