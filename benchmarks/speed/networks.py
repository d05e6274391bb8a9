"""The networks beside each other: parameters, seconds an image, training steps a second.

    python -m benchmarks speed networks
    python -m benchmarks speed networks --networks unet cgrdn --sizes 256 512 1024 --batch 16
    python -m benchmarks speed networks --device cuda --half

Seconds are the fastest of the repeats after one unmeasured run, for one image of one channel in and
`--maps` channels out, in one piece. A training step is the forward pass of a batch, the mean square
error, the backward pass and a step of AdamW on random images, so nothing but the network is timed.
Steps that do not fit into memory are not caught: choose a smaller `--batch`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.timing import fastest
from napari_atomseg import networks
from napari_atomseg._shared.device import choose_device


def seconds(job: Callable[[], object], options: argparse.Namespace) -> float:
    """Of the fastest of the repeats, by the clock."""

    def whole() -> None:
        job()
        if options.device.type == "cuda":
            torch.cuda.synchronize(options.device)

    return fastest(whole, options.repeats, before=1, clock=time.perf_counter)[0]


def inference(network: nn.Module, size: int, options: argparse.Namespace) -> float:
    """Seconds for one image of size × size pixels."""
    network.eval()
    image = _images(1, size, options)

    @torch.inference_mode()
    def run() -> None:
        with torch.autocast(options.device.type, torch.bfloat16, enabled=options.half):
            network(image)

    return seconds(run, options)


def training(network: nn.Module, options: argparse.Namespace) -> float:
    """Training steps a second."""
    network.train()
    images = _images(options.batch, options.side, options)
    truth = torch.rand(options.batch, options.maps, *images.shape[-2:], device=options.device)
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(options.device.type, torch.bfloat16, enabled=options.half):
            maps = network(images)
        (maps - truth).square().mean().backward()
        optimizer.step()

    return 1.0 / seconds(step, options)


def cells(name: str, options: argparse.Namespace) -> Iterator[str]:
    """The line of one network."""
    torch.manual_seed(0)
    network = networks.create(name, channels_out=options.maps)
    network.to(options.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield name
    yield f"{sum(p.numel() for p in network.parameters()):,}"
    for size in options.sizes:
        yield f"{inference(network, size, options):.3f}"
    yield f"{training(network, options):.3f}"


def _images(count: int, size: int, options: argparse.Namespace) -> torch.Tensor:
    images = torch.rand(count, 1, size, size, device=options.device)
    return images.contiguous(memory_format=torch.channels_last)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Networks, sizes and device."""
    parser.add_argument("--networks", nargs="+", choices=networks.names(), default=networks.names())
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--batch", type=int, default=4, help="images in a training step")
    parser.add_argument("--side", type=int, default=128, help="side of the images of a step")
    parser.add_argument("--maps", type=int, default=1, help="channels out")
    parser.add_argument("--repeats", type=int, default=2)
    shared.threads(parser, 2)
    parser.add_argument("--device", type=choose_device, default="cpu")
    parser.add_argument("--half", action="store_true", help="compute in bfloat16")


def run(options: argparse.Namespace) -> None:
    """Measure every network and print a table."""
    where = f"{options.threads} threads" if options.device.type == "cpu" else str(options.device)
    number = "bfloat16" if options.half else "float32"
    print(
        f"{where}, {number}, {options.maps} maps; seconds an image, fastest of {options.repeats}\n"
    )
    steps = f"steps/s of {options.batch} × {options.side}²"
    tables.begin(["network", "parameters", *(f"{size}²" for size in options.sizes), steps])
    for name in options.networks:
        tables.line(cells(name, options))
