"""Run by the interpreter that has PyTorch and TensorFlow: prints, as one line of JSON, whether a process can
have both.

Each order is a process of its own, because what two libraries bring twice ends the process without a word
of Python's.
"""

import importlib
import json
import subprocess
import sys

ORDERS = (("tensorflow", "torch"), ("torch", "tensorflow"))


def train(*libraries: str) -> None:
    """Imports in this order, then takes a step of training with PyTorch."""
    for library in libraries:
        importlib.import_module(library)
    torch = sys.modules["torch"]
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    before = layer.weight.tolist()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    if layer.weight.tolist() == before:
        raise SystemExit("the step changed nothing")


def complaint(order: tuple) -> str:
    """What the process of one order said last when it failed; nothing where it did not."""
    command = [sys.executable, "-I", "-B", __file__, *order]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return ""
    return (ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"])[-1]


if __name__ == "__main__":
    if sys.argv[1:]:
        train(*sys.argv[1:])
    else:
        print(json.dumps({", then ".join(order): complaint(order) for order in ORDERS}))
