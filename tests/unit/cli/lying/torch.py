"""A made-up PyTorch that says it has a GPU. TORCH_LIES says in which way that is not true."""

import os
import time

import numpy

LIE = os.environ["TORCH_LIES"]
GPU = os.environ.get("TORCH_GPU", "mps")
__version__ = "9.9"

if LIE == "hangs":
    time.sleep(600)


class Tensor(numpy.Matrix):
    def __matmul__(self, other):
        product = super().__matmul__(other)
        on_gpu = self.device.type != "cpu"
        if on_gpu and LIE == "needs the CPU" and os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK") != "1":
            raise NotImplementedError("The operator 'aten::mm' is not currently implemented for the MPS device.")
        if on_gpu and LIE == "wrong product":
            product.rows[0][0] += 1
        device = "cpu" if LIE == "stays on the CPU" else self.device.type
        return Tensor(product.rows, device)

    def cpu(self):
        return Tensor(self.rows)


def from_numpy(matrix):
    return Tensor(matrix.rows)


class _Gpu:
    def __init__(self, name):
        self.is_there = GPU == name and LIE != "no GPU"

    def is_built(self):
        return self.is_there

    def is_available(self):
        return self.is_there

    def device_count(self):
        return 1

    def get_device_name(self, index):
        return "A made-up GPU"

    def synchronize(self):
        pass


class backends:
    mps = _Gpu("mps")


class version:
    cuda = "13.0" if GPU == "cuda" else None


mps, cuda = _Gpu("mps"), _Gpu("cuda")
