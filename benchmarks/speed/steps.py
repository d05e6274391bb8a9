"""What makes a step of a training faster: memory layout, fused optimizer, compiled network.

    python -m benchmarks speed steps [--networks cgrdn_spectral unet] [--batch 4] [--crop 96]

CPU seconds of a step on random images, forward and backward pass and AdamW, the fastest of the
repeats: as trainings do it (channels last), with channels first, with the optimizer in one kernel,
and with the network compiled by `torch.compile`, which needs a C++ compiler and is not counted
while it compiles. Then floating-point operations a second of the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.timing import fastest
from napari_atomseg import networks

FORMS: dict[str, dict[str, object]] = {
    "channels last": {},
    "channels first": {"layout": torch.contiguous_format},
    "fused AdamW": {"fused": True},
    "compiled": {"compiled": True},
}


def stepper(
    name: str,
    images: torch.Tensor,
    *,
    layout: torch.memory_format = torch.channels_last,
    fused: bool = False,
    compiled: bool = False,
) -> Callable[[], None]:
    """A step of a training of a network of the registry."""
    torch.manual_seed(0)
    network: nn.Module = networks.create(name).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), fused=fused)
    called = torch.compile(network) if compiled else network
    seen = images.contiguous(memory_format=layout)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        called(seen).abs().mean().backward()
        optimizer.step()

    return step


def arguments(parser: argparse.ArgumentParser) -> None:
    """Networks and batches."""
    every = networks.names()
    parser.add_argument("--networks", nargs="+", choices=every, default=["cgrdn_spectral", "unet"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line a network."""
    images = torch.rand(options.batch, 1, options.crop, options.crop)
    print(f"CPU seconds of a step of {options.batch} x {options.crop}²\n")
    tables.begin(["network", *FORMS, "GFLOP/s"])
    for name in options.networks:
        with FlopCounterMode(display=False) as counter:
            networks.create(name)(images).sum().backward()
        seconds = [
            fastest(stepper(name, images, **form), options.repeats, before=2)[0]  # type: ignore[arg-type]
            for form in FORMS.values()
        ]
        rate = counter.get_total_flops() / seconds[0] / 1e9
        tables.line([name, *(f"{value:.3f}" for value in seconds), f"{rate:.0f}"])
