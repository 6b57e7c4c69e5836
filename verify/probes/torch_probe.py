"""Run by the interpreter that has PyTorch: prints, as one line of JSON, what it can do.

Named so, because a torch.py beside the running script would be imported for `torch`.
"""

import json
import sys

import numpy
import torch

SIZE = 256


def close_to(product: "torch.Tensor", truth: "numpy.ndarray") -> bool:
    """Whether a product is right, as far as 32-bit floats added up in another order can be."""
    return bool(numpy.allclose(product.cpu().numpy(), truth, rtol=1e-4, atol=1e-3))


def main() -> None:
    """Multiplies on the CPU and, where there is one, on the Mac's GPU."""
    random = numpy.random.default_rng(seed=7)
    left, right = (random.standard_normal((SIZE, SIZE)).astype("float32") for _ in range(2))
    truth = left @ right
    left, right = torch.from_numpy(left), torch.from_numpy(right)
    mps = torch.backends.mps
    seen = {
        "version": torch.__version__,
        "equal": close_to(left @ right, truth),
        "mps": {"built": mps.is_built(), "available": mps.is_available(), "equal": None},
    }
    if seen["mps"]["available"]:
        product = left.to("mps") @ right.to("mps")
        torch.mps.synchronize()
        seen["mps"]["equal"] = close_to(product, (left @ right).numpy())
    json.dump(seen, sys.stdout)
    print()


if __name__ == "__main__":
    main()
