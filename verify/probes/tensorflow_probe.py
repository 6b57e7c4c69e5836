"""Run by the interpreter that has TensorFlow: prints, as one line of JSON, what it can do."""

import json
import sys
from importlib import metadata
from typing import Optional

import numpy
import tensorflow

SIZE = 256


def version_of(distribution: str) -> Optional[str]:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Multiplies on the device that TensorFlow chooses."""
    random = numpy.random.default_rng(seed=7)
    left, right = (random.standard_normal((SIZE, SIZE)).astype("float32") for _ in range(2))
    product = tensorflow.linalg.matmul(left, right).numpy()
    seen = {
        "version": tensorflow.__version__,
        "equal": bool(numpy.allclose(product, left @ right, rtol=1e-4, atol=1e-3)),
        "cpus": [device.name for device in tensorflow.config.list_physical_devices("CPU")],
        "gpus": [device.name for device in tensorflow.config.list_physical_devices("GPU")],
        "metal": version_of("tensorflow-metal"),
    }
    json.dump(seen, sys.stdout)
    print()


if __name__ == "__main__":
    main()
