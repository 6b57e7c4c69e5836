"""Run by an interpreter that has PyTorch: measures it on one device, and prints the report as one line of JSON.

The argument is the device: cpu, cuda or mps; gpu stands for the GPU that PyTorch has, or the CPU where it has
none. Nothing is asserted. A measurement is the median of as many rounds as fit into its time, after one that does
not count.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from typing import Any, Callable

# What Metal cannot do is to be an error here, and not the CPU's figures under another name.
os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "0"

import torch
from torch import nn

Step = Callable[[], Any]

SECONDS = 5.0
"""For each measurement."""
MATRIX = 2048
PICTURES, CHANNELS, WIDTH = 16, 64, 64
BATCH = 64
"""As in the example notebooks, whose network this is."""


def wait_for(device: str) -> None:
    """Work on a GPU is asynchronous."""
    if device != "cpu":
        getattr(torch, device).synchronize()


def measure(step: Step, device: str) -> dict[str, Any]:
    """Median seconds of a step, and how many were taken."""
    step()
    wait_for(device)
    taken, end = [], time.perf_counter() + SECONDS
    while len(taken) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        step()
        wait_for(device)
        taken.append(time.perf_counter() - started)
    return {"seconds": statistics.median(taken), "rounds": len(taken)}


def matrix_product(device: str) -> tuple[str, Step]:
    """Two square matrices."""
    left, right = (torch.randn(MATRIX, MATRIX, device=device) for _ in range(2))
    return f"{MATRIX} x {MATRIX}", lambda: left @ right


def convolution(device: str) -> tuple[str, Step]:
    """One layer over pictures."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, kernel_size=3, padding=1).to(device)
    pictures = torch.randn(PICTURES, CHANNELS, WIDTH, WIDTH, device=device)

    def step() -> None:
        with torch.inference_mode():
            layer(pictures)

    return f"{PICTURES} pictures, {CHANNELS} channels, {WIDTH} x {WIDTH}", step


def training_step(device: str) -> tuple[str, Step]:
    """The network of the example notebook 04-torch, on pictures of its size."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss_of = nn.CrossEntropyLoss()
    pictures = torch.randn(BATCH, 1, 8, 8, device=device)
    labels = torch.randint(0, 10, (BATCH,), device=device)

    def step() -> None:
        loss = loss_of(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return f"batch of {BATCH}, 8 x 8", step


MEASUREMENTS = {
    "matrix product": matrix_product,
    "convolution": convolution,
    "training step": training_step,
}


def chosen(word: str) -> str:
    """The device that a word stands for."""
    if word != "gpu":
        return word
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def main(word: str) -> None:
    """Measures everything on one device."""
    device = chosen(word)
    torch.manual_seed(0)
    name_of = torch.cuda.get_device_name if device == "cuda" else platform.machine
    results = {}
    for name, make in MEASUREMENTS.items():
        size, step = make(device)
        results[name] = {"size": size, **measure(step, device)}
    seen = {
        "device": device,
        "name": name_of(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "system": f"{platform.system()} {platform.machine()}",
        "results": results,
    }
    json.dump(seen, sys.stdout)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
