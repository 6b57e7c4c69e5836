"""PyTorch and TensorFlow in one process."""

from __future__ import annotations

from ..check import check, toolset
from ..environment import VENV_PYTHON, Environment
from ..outcome import CheckFailed, Outcome, passed
from ..probes import ask


@check(
    "frameworks",
    expected="TensorFlow and PyTorch in one process, imported in either order",
    hint=f"docker exec {{workspace}} {VENV_PYTHON} -c 'import tensorflow, torch._dynamo'",
    needs=(toolset("torch"), toolset("tensorflow")),
    limit=120.0,
)
def frameworks(env: Environment) -> Outcome:
    """A process that has imported TensorFlow, before or after PyTorch, trains with PyTorch.

    Expected: an optimizer of PyTorch changes the weights. Where both bring an LLVM of
    their own, LLVM ends the process ("inconsistency in registered CommandLine options").
    """
    seen = ask(env, "frameworks")
    failed = [f"{order}: {complaint}" for order, complaint in seen.items() if complaint]
    if failed:
        raise CheckFailed("; ".join(failed))
    return passed("; ".join(seen))
