"""Run by an interpreter that has MLX: prints, as one line of JSON, what it can do."""

import json
import random
import sys
from importlib import metadata

import mlx.core as mx

SIZE = 256


def main() -> None:
    """Multiplies on the device that MLX chooses, and on the CPU; MLX is lazy, so that only eval computes."""
    numbers = random.Random(7)
    left, right = (
        mx.array([[numbers.gauss(0, 1) for _ in range(SIZE)] for _ in range(SIZE)]) for _ in range(2)
    )
    product, truth = mx.matmul(left, right), mx.matmul(left, right, stream=mx.cpu)
    mx.eval(product, truth)
    seen = {
        "version": metadata.version("mlx"),
        "device": str(mx.default_device()),
        "equal": bool(mx.allclose(product, truth, rtol=1e-4, atol=1e-3).item()),
    }
    json.dump(seen, sys.stdout)
    print()


if __name__ == "__main__":
    main()
