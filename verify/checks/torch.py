"""PyTorch: that it computes, which build it is, and which GPU it reaches."""

from __future__ import annotations

from ..check import check, gpu, toolset
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
    needs=(toolset("torch"),),
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
    expected="cpu, without NVIDIA packages; pypi-cuda, said openly; with carbon:gpu nvidia cuda",
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
    if index == "cuda" and nvidia:
        return passed(f"cuda: PyPI's CUDA build for NVIDIA GPUs, with {nvidia} NVIDIA packages; {_download(env)}")
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
    expected="not built in: Metal is macOS's",
    hint=_HINT,
    needs=(toolset("torch"),),
    limit=_LIMIT,
)
def mps(env: Environment) -> Outcome:
    """PyTorch says truly that a container reaches no Mac's GPU, as there is no Metal in Linux.

    Expected: Linux builds have no MPS (pytorch.org/docs/stable/notes/mps.html: "not built" is what is_built()
    tells apart from "not available"). The Mac's own is looked at by `carbon verify --target host`.
    """
    seen = ask(env, "torch")["mps"]
    facts = f"is_built() {seen['built']}, is_available() {seen['available']}"
    if seen["built"] or seen["available"]:
        raise CheckFailed(f"{facts}: Metal cannot exist in Linux, so this is no PyTorch of Linux")
    return unsupported(f"{facts}: Linux has no Metal")


@check(
    "nvidia-smi",
    expected="NVIDIA's driver lists a GPU",
    hint="on the server: nvidia-smi, then sudo nvidia-ctk runtime configure --runtime=docker and restart Docker",
    needs=(gpu("nvidia"),),
)
def nvidia_smi(env: Environment) -> Outcome:
    """NVIDIA's driver is in the workspace and sees a GPU.

    Expected: the names and versions that `nvidia-smi --query-gpu` prints (docs.nvidia.com/deploy/nvidia-smi); the
    container toolkit puts the program into the container.
    """
    finished = env.run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    gpus = [line.strip() for line in finished.stdout.splitlines() if line.strip()]
    if finished.code != 0 or not gpus:
        # It complains on stdout.
        raise CheckFailed(f"nvidia-smi lists no GPU: {' '.join(gpus) or finished.complaint}")
    return passed("; ".join(gpus))


@check(
    "cuda",
    expected="a product on cuda equal to the CPU's",
    hint=f"docker exec {{workspace}} {VENV_PYTHON} -c 'import torch; torch.zeros(1, device=\"cuda\")'",
    needs=(gpu("nvidia"), toolset("torch")),
    limit=_LIMIT,
)
def cuda(env: Environment) -> Outcome:
    """PyTorch uses the NVIDIA GPU.

    Expected: the CPU's own product, after torch.cuda.synchronize(), because work on the GPU is asynchronous.
    Available alone proves nothing.
    """
    report = ask(env, "torch")
    seen = report["cuda"]
    facts = f"torch {report['version']}, CUDA {seen['version'] or 'not built in'}, is_available() {seen['available']}"
    if not seen["version"]:
        raise CheckFailed(facts, "pulumi config set carbon:torchIndex cuda && make up")
    if not seen["available"]:
        raise CheckFailed(facts)
    facts = f"{facts}, {', '.join(seen['devices'])}"
    if seen["error"]:
        raise CheckFailed(f"{facts}: {seen['error']}")
    if not seen["equal"]:
        raise CheckFailed(f"{facts}, but the product on cuda differs from the CPU's")
    return passed(f"{facts}, product equal to the CPU's")
