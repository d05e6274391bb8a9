"""CPU seconds of `localize` beside those of the network alone, in the same process.

    python -m benchmarks speed localizing
    PYTHONPATH=../another-checkout/src python -m benchmarks speed localizing

The images are a noisy square lattice (plain), and the same with a faint sublattice between, which
the network overlooks and a search adds. "network" is its pass over the whole image, as `localize`
asks for it; what `localize` takes beyond it is everything else: looking for faults, contrast and
scale, the comparison with the recorded image, the search and the fits. Least of the repeats, after
a small image; ratios bear comparison where other work is running, seconds do not.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from numpy.typing import NDArray

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.timing import fastest
from napari_atomseg.inference import predict

SPACING = 20.5
"""Of the bright columns, pixels."""
FAINT = {"plain": 0.0, "faint sublattice": 0.15}
"""Height of the columns between over that of the bright ones."""
TASKS = ("column_map", "denoise")


def lattice_image(size: int, faint: float) -> NDArray[np.float32]:
    """(size, size) electrons of one or two square sublattices."""
    axis = 2 * np.pi * np.arange(size) / SPACING
    profiles = [np.exp(10.0 * (np.cos(axis + shift) - 1.0)) for shift in (0.0, np.pi)]
    bright, between = (np.outer(profile, profile) for profile in profiles)
    expected = 2.0 + 30.0 * (bright + faint * between)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def network_alone(image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The maps that `localize` asks a network for, where the contrast is known."""
    return predict(image, TASKS, precision="half", contrast="bright").maps


def arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, repeats and threads."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--repeats", type=int, default=2)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line an image."""
    atomseg.localize(lattice_image(128, 0.0))
    tables.begin(["image", "columns", "network", "localize", "over network"])
    for size in options.sizes:
        for name, faint in FAINT.items():
            image = lattice_image(size, faint)
            network, _ = fastest(partial(network_alone, image), options.repeats)
            whole, columns = fastest(partial(atomseg.localize, image), options.repeats)
            cells = [f"{size}², {name}", str(len(columns)), f"{network:.2f}", f"{whole:.2f}"]
            tables.line([*cells, f"{whole / network:.1f}"])
