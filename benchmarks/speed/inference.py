"""Seconds and memory of every model, beside a U-Net of AtomSegNet's published size in the same run.

    python -m benchmarks speed inference
    python -m benchmarks speed inference --models stem-hr my.safetensors --sizes 256 1024

Every figure comes from a process of its own, so that its peak memory (resident set, which includes
Python and PyTorch) is its own. The network is loaded and warmed up on one small image first; the
seconds are the wall time of the fastest of the repeats. A model restores the image, as `restore`
does with all that goes with it (contrast, scale, tiles); one that does not restore maps the
columns. The U-Net (Lin et al. 2021: two poolings, 64-128-256 channels, two 3×3 convolutions with
batch normalisation a level) has random weights, computes one map in float32 and is tiled and
blended as they are. A table in Markdown is printed, a row a model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import options as shared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

TILE_SIZE = 1024
SPACING = 14.0
UNET = "U-Net 64-128-256"


def lattice_image(size: int) -> Image:
    """(size, size) float32: a noisy square lattice of Gaussian columns `SPACING` pixels apart."""
    import numpy as np

    profile = np.exp(8.0 * (np.cos(2 * np.pi * np.arange(size) / SPACING) - 1.0))
    expected = 2.0 + 20.0 * np.outer(profile, profile)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def model_task(model: str) -> tuple[Callable[[Image], object], int]:
    """What a model is for, and the number of its parameters."""
    from napari_atomseg import weights
    from napari_atomseg.inference import predict
    from napari_atomseg.networks.files import load_weights

    network, card = load_weights(weights.resolve(model))
    task = "denoise" if "denoise" in card.tasks else "column_map"

    def run(image: Image) -> object:
        return predict(image, (task,), model=model, device="cpu", tile_size=TILE_SIZE)

    return run, sum(p.numel() for p in network.parameters())


def unet_task() -> tuple[Callable[[Image], object], int]:
    """The plain U-Net on the same tiles, and the number of its parameters."""
    import torch

    from napari_atomseg import networks
    from napari_atomseg.inference.tiles import Blender, tiles

    network = networks.create("atomsegnet_unet").eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(image: Image) -> object:
        whole = torch.from_numpy((image - image.mean()) / image.std())[None, None]
        shape = (image.shape[0], image.shape[1])
        blender = Blender(1, shape)
        for tile in tiles(shape, TILE_SIZE):
            part = whole[..., tile.top : tile.bottom, tile.left : tile.right]
            blender.add(tile, network(part.contiguous(memory_format=torch.channels_last))[0])
        return blender.result()

    return run, sum(p.numel() for p in network.parameters())


def resident_peak() -> int:
    """Largest resident set of this process so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(model: str, size: int, repeats: int) -> dict[str, float]:
    """Seconds, peak memory and parameters of one model on one size, in this process."""
    run, parameters = unet_task() if model == UNET else model_task(model)
    image = lattice_image(size)
    run(lattice_image(128))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(image)
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "peak": resident_peak(), "parameters": parameters}


def measure_afresh(model: str, size: int, repeats: int, threads: int) -> dict[str, float]:
    """`measure` in a new process."""
    command = [sys.executable, "-m", "benchmarks", "speed", "inference", "--one", model, str(size)]
    command += ["--repeats", str(repeats), "--threads", str(threads)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def row(model: str, sizes: list[int], repeats: int, threads: int) -> list[str]:
    """Of the table."""
    found = [measure_afresh(model, size, repeats, threads) for size in sizes]
    cells = [f"{each['seconds']:.2f} s, {each['peak'] / 1e6:.0f} MB" for each in found]
    name = model if model == UNET else Path(model).stem
    return [name, f"{found[0]['parameters'] / 1e6:.2f}", *cells]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Models, sizes and repeats."""
    shared.models(parser, (), "[all that are here]")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SIZE"), help=argparse.SUPPRESS)
    shared.threads(parser, 2)


def run(options: argparse.Namespace) -> None:
    """Measure every model on every size and print a table."""
    if options.one:
        model, size = options.one[0], int(options.one[1])
        print(json.dumps(measure(model, size, options.repeats)))
        return
    from benchmarks import tables

    print(f"threads: {options.threads}, fastest of {options.repeats}, tiles of {TILE_SIZE} px\n")
    tables.begin(["model", "million parameters", *(f"{size}²" for size in options.sizes)])
    for model in (*(options.models or present()), UNET):
        tables.line(row(model, options.sizes, options.repeats, options.threads))


def present() -> list[str]:
    """Names of the models whose files are here."""
    from napari_atomseg import weights

    table = weights.models()
    return list(table["name"][table["downloaded"]])
