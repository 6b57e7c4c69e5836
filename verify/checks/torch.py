"""PyTorch: that it computes, which build it is, and whether it reaches a Mac's GPU."""

from __future__ import annotations

from ..check import check, toolset
from ..environment import VENV_PYTHON, Environment
from ..outcome import CheckFailed, Outcome, passed, unsupported
from ..probes import ask

_LIMIT = 120.0
_INDEX_FILE = "/etc/carbon/torch-index"
_DOWNLOAD_FILE = "/etc/carbon/torch-download"
_HINT = f"docker exec {{workspace}} {VENV_PYTHON} -c 'import torch'"


@check(
    "torch",
    expected="a matrix product equal to NumPy's",
    hint=_HINT,
    needs=(toolset("torch", on_mac=True),),
    limit=_LIMIT,
)
def torch(env: Environment) -> Outcome:
    """PyTorch imports and multiplies matrices as NumPy does.

    Expected: NumPy's own product, within the rounding of 32-bit floats.
    """
    seen = ask(env, "torch")
    if not seen["equal"]:
        raise CheckFailed(f"torch {seen['version']}: its product differs from NumPy's")
    return passed(f"torch {seen['version']}, product equal to NumPy's")


@check(
    "torch-index",
    expected="cpu, without NVIDIA packages; or pypi-cuda, said openly",
    hint="./carbon build",
    needs=(toolset("torch"),),
)
def torch_index(env: Environment) -> Outcome:
    """The image says truly which build of PyTorch it holds.

    Expected: the word that the build wrote into /etc/carbon/torch-index, borne out by what is installed:
    PyPI's torch depends on nvidia-* distributions, the one from PyTorch's CPU index on none. It also says whether
    the download was held against a recorded hash, from /etc/carbon/torch-download; an image that says nothing of it
    is older than that file, and only PyPI's was.
    """
    try:
        index = env.path(_INDEX_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise CheckFailed(f"{_INDEX_FILE} is missing") from error
    nvidia = sum(
        1 for _ in env.path("/opt/carbon/venv").glob("lib/python3*/site-packages/nvidia_*.dist-info")
    )
    if index == "cpu" and not nvidia:
        return passed(f"cpu: PyTorch's CPU build, no NVIDIA packages; {_download(env)}")
    if index == "pypi-cuda" and nvidia:
        return passed(
            f"pypi-cuda: PyPI's CUDA build, with {nvidia} NVIDIA packages that nothing here can use",
            "gigabytes more than needed: at build time PyTorch's CPU index was out of reach, "
            "or PyPI was asked for. Where download.pytorch.org can be reached: "
            "pulumi config set carbon:torchIndex cpu && make up",
        )
    raise CheckFailed(f"{_INDEX_FILE} says {index!r}, and {nvidia or 'no'} NVIDIA packages are installed")


def _download(env: Environment) -> str:
    try:
        word = env.path(_DOWNLOAD_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        word = "unverified"
    return "download held against its sha256" if word == "sha256" else "unverified download (no recorded hash)"


@check(
    "mps",
    expected="Apple Silicon: a product on mps equal to the CPU's. Linux: not built in",
    hint=_HINT,
    needs=(toolset("torch", on_mac=True),),
    limit=_LIMIT,
)
def mps(env: Environment) -> Outcome:
    """PyTorch uses the Mac's GPU where it can; in a container it cannot, as there is no Metal in Linux.

    Expected: Linux builds have no MPS (pytorch.org/docs/stable/notes/mps.html: "not built" is what is_built()
    tells apart from "not available"). On a Mac, available alone proves nothing: the product has to be right,
    after torch.mps.synchronize(), because work on the GPU is asynchronous.
    """
    seen = ask(env, "torch")["mps"]
    facts = f"is_built() {seen['built']}, is_available() {seen['available']}"
    if not env.is_mac:
        if seen["built"] or seen["available"]:
            raise CheckFailed(f"{facts}: Metal cannot exist in Linux, so this is no PyTorch of Linux")
        return unsupported(f"{facts}: Linux has no Metal")
    if not seen["available"]:
        if env.machine != "arm64":
            return unsupported(f"{facts}: not Apple Silicon")
        raise CheckFailed(
            facts,
            "macOS 14 or later and an arm64 Python: python3 -c 'import platform; print(platform.platform())'",
        )
    if not seen["equal"]:
        raise CheckFailed(f"{facts}, but the product on mps differs from the CPU's")
    return passed(f"{facts}, product equal to the CPU's")
