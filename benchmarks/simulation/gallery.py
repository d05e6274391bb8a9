"""Simulated images beside real ones of matched sampling, and their radial power spectra.

    python -m benchmarks simulation gallery FOLDER [--pictures docs/images]

FOLDER holds the test images of AtomSegNet (MIT licence): si110_adf_512.png, dysco3_adf_1024.png and
nanoparticle_adf_1182.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import options as shared
from napari_atomseg import simulate
from napari_atomseg.io import read_image

Image = NDArray[np.floating]
SCENES: dict[str, tuple[str, float, tuple[int, int], dict[str, Any]]] = {
    "Si [110]": (
        "si110_adf_512.png",
        0.0891,
        (512, 512),
        {
            "crystal": "Si",
            "zone_axis": (1, 1, 0),
            "rotation": 75.3,
            "source_size": 1.0,
            "dose": 1e5,
            "background": 0.3,
            "background_kind": "nonlinear",
            "jitter": 0.1,
        },
    ),
    "DyScO₃ [110]": (
        "dysco3_adf_1024.png",
        0.0781,
        (512, 512),
        {
            "crystal": "DyScO3",
            "zone_axis": (1, 1, 0),
            "rotation": 90.3,
            "gamma": 1.5,
            "source_size": 1.4,
            "dose": 2e5,
            "background": 0.2,
            "jitter": 0.1,
        },
    ),
    "Pt [110] particle": (
        "nanoparticle_adf_1182.png",
        0.0726,
        (1180, 1180),
        {
            "crystal": "Pt",
            "zone_axis": (1, 1, 0),
            "rotation": 170.7,
            "shape_kind": "rounded",
            "source_size": 1.5,
            "dose": 2e6,
            "support": 20.0,
            "jitter": 0.1,
            "seed": 2,
        },
    ),
}
"""Title: file, Å a pixel, size of the crop, arguments of `simulate`."""


def crop(image: Image, size: tuple[int, int]) -> Image:
    """The middle of an image, in units of its deviation about its mean."""
    rows, cols = ((n - m) // 2 for n, m in zip(image.shape, size, strict=True))
    piece = image[rows : rows + size[0], cols : cols + size[1]].astype(float)
    return (piece - piece.mean()) / piece.std()


def radial_spectrum(image: Image, sampling: float) -> tuple[Image, Image]:
    """Mean power on rings of spatial frequency (1/Å), of a windowed image of unit variance."""
    window = np.outer(*(np.hanning(n) for n in image.shape))
    power = np.abs(np.fft.fft2(image * window)) ** 2 / (window**2).sum()
    ky, kx = (np.fft.fftfreq(n, sampling) for n in image.shape)
    radius = np.hypot(ky[:, None], kx)
    step = 1.0 / (sampling * min(image.shape))
    ring = (radius / step).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    rings = int(0.5 / sampling / step)
    return (np.arange(rings) + 0.5) * step, mean[:rings]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the images are, and where the picture goes."""
    shared.folder(parser, "measured images")
    shared.pictures(parser, Path("docs/images"))


def run(options: argparse.Namespace) -> None:
    """Draw `gallery.png`."""
    figure = Figure(figsize=(11, 3.7 * len(SCENES)), layout="constrained")
    axes = figure.subplots(len(SCENES), 3)
    for row, (title, (name, sampling, size, settings)) in zip(axes, SCENES.items(), strict=True):
        real = crop(np.asarray(read_image(options.folder / name).data), size)
        made = crop(simulate(shape=size, sampling=sampling, **settings).image, size)
        for axis, image, what in zip(row, (real, made), ("measured", "simulated"), strict=False):
            low, high = np.percentile(image, (0.5, 99.7))
            axis.imshow(image, cmap="gray", vmin=low, vmax=high)
            axis.set_title(f"{title}, {what}", fontsize=10)
            axis.set_axis_off()
            row[2].semilogy(*radial_spectrum(image, sampling), label=what)
        row[2].set(xlabel="spatial frequency (1/Å)", ylabel="power, unit variance")
        row[2].legend()
    figure.savefig(options.pictures / "gallery.png", dpi=90)
