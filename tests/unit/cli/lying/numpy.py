"""As much of NumPy as the probes use, for environments that tests make up."""

import random as numbers


class Matrix:
    """Rows of numbers; in the made-up torch it is a tensor, too."""

    def __init__(self, rows, device="cpu"):
        self.rows, self.device = rows, Device(device)

    def __matmul__(self, other):
        columns = list(zip(*other.rows))
        return Matrix([[sum(map(float.__mul__, row, column)) for column in columns] for row in self.rows])

    def astype(self, _):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self

    def to(self, device):
        return type(self)(self.rows, device)


class Device:
    def __init__(self, type):
        self.type = type


class Generator:
    def standard_normal(self, shape):
        # A few, so that Python multiplies them at once.
        source = numbers.Random(7)
        return Matrix([[source.gauss(0, 1) for _ in range(4)] for _ in range(4)])


class random:
    @staticmethod
    def default_rng(seed):
        return Generator()


def allclose(left, right, rtol, atol):
    pairs = [pair for rows in zip(left.rows, right.rows) for pair in zip(*rows)]
    return all(abs(one - other) <= atol + rtol * abs(other) for one, other in pairs)


ndarray = Matrix
