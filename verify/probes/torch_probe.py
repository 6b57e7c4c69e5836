"""Run by an interpreter that has PyTorch: prints, as one line of JSON, what it can do.

Named so, because a torch.py beside the running script would be imported for `torch`.
"""

import json
import os
import sys

# What Metal cannot do is to be an error here, and not done by the CPU instead. PyTorch reads it when it is imported.
os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "0"

import numpy
import torch

SIZE = 256


def close_to(product: "torch.Tensor", truth: "numpy.ndarray") -> bool:
    """Whether a product is right, as far as 32-bit floats added up in another order can be."""
    return bool(numpy.allclose(product.cpu().numpy(), truth, rtol=1e-4, atol=1e-3))


def computed_on(device: str, left: "torch.Tensor", right: "torch.Tensor", truth: "numpy.ndarray") -> dict:
    """What a product on a GPU comes to; work there is asynchronous, so that only waiting for it shows it."""
    try:
        product = left.to(device) @ right.to(device)
        getattr(torch, device).synchronize()
        if product.device.type != device:
            return {"equal": False, "error": f"the product is on {product.device.type}, not on {device}"}
        return {"equal": close_to(product, truth), "error": None}
    except (RuntimeError, NotImplementedError) as error:
        return {"equal": False, "error": str(error).strip().partition("\n")[0]}


def main() -> None:
    """Multiplies on the CPU and on each GPU that PyTorch claims to have."""
    random = numpy.random.default_rng(seed=7)
    left, right = (random.standard_normal((SIZE, SIZE)).astype("float32") for _ in range(2))
    truth = left @ right
    left, right = torch.from_numpy(left), torch.from_numpy(right)
    nothing = {"equal": None, "error": None}
    mps, cuda = torch.backends.mps, torch.cuda
    seen = {
        "version": torch.__version__,
        "equal": close_to(left @ right, truth),
        "mps": {"built": mps.is_built(), "available": mps.is_available(), **nothing},
        "cuda": {"version": torch.version.cuda, "available": cuda.is_available(), "devices": [], **nothing},
    }
    for device in ("mps", "cuda"):
        if seen[device]["available"]:
            seen[device].update(computed_on(device, left, right, (left @ right).numpy()))
    if seen["cuda"]["available"]:
        seen["cuda"]["devices"] = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    json.dump(seen, sys.stdout)
    print()


if __name__ == "__main__":
    main()
