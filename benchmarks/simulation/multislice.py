"""Fast images beside abTEM's multislice: correlation, relative intensities of columns, seconds.

    python -m benchmarks simulation multislice --pictures docs/images
    python -m benchmarks simulation multislice --references FOLDER --pictures docs/images

The first computes thin crystals with both (minutes); the second reads multislice images from the
`.npz` files of a folder (keys `image`, `positions_px` as (x, y), `column_natoms`, `column_Zmax`,
`column_sumZ17` and a JSON `meta`) and makes the fast image of the same columns. A dark-field image
has arbitrary units in the fast model, so it is fitted by a scale and an offset first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.timing import fastest
from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Optics, Probe, form_image
from napari_atomseg.imaging.multislice import multislice_adf, multislice_hrtem
from napari_atomseg.specimen import Columns, Field, Scatterers, get_crystal
from napari_atomseg.specimen.build import build_structure
from napari_atomseg.specimen.defects import thermal_displacement
from napari_atomseg.specimen.structure import Structure

Image = NDArray[np.float32]
GAMMAS = (1.7, 2.0, None)
DETECTOR = (70.0, 160.0)


@dataclass(frozen=True)
class Comparison:
    """Two images of the same atoms, and the columns to compare."""

    name: str
    slow: Image
    slow_seconds: float
    fast: dict[str, Image]
    fast_seconds: float
    points: NDArray[np.float64]
    groups: dict[str, NDArray[np.intp]]
    sampling: float
    coherent: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the references are, and how thorough the computation is."""
    parser.add_argument("--references", type=Path, help="folder of multislice images (*.npz)")
    parser.add_argument("--phonons", type=int, default=4, help="configurations of thermal motion")
    shared.pictures(parser)


def run(options: argparse.Namespace) -> None:
    """Compare, print and draw."""
    if options.references:
        found = sorted(options.references.glob("*.npz"))
        comparisons = (reference(path) for path in found)
    else:
        comparisons = (case(options.phonons) for case in (strontium_titanate, silicon, graphene))
    rows = []
    for comparison in comparisons:
        rows += scores(comparison)
        if options.pictures:
            draw(comparison, options.pictures / f"multislice-{comparison.name}.png")

    tables.show(pd.DataFrame(rows), digits=4)


def strontium_titanate(phonons: int) -> Comparison:
    """Three by three cells of SrTiO3 [001], 39 Å thick, at 200 kV and 21 mrad."""
    field = Field((117, 117), 3 * 3.905 / 117, 0)
    structure = build_structure(get_crystal("SrTiO3"), (0, 0, 1), field, 39.0, offset=(0.9, 0.9))
    return dark_field("srtio3-001", structure, field, Probe(200e3, 21.0, source_size=0.8), phonons)


def silicon(phonons: int) -> Comparison:
    """Dumbbells of Si [110], 38 Å thick, at 200 kV and 24 mrad."""
    field = Field((99, 105), 3 * 5.431 / np.sqrt(2.0) / 105, 0)
    structure = build_structure(get_crystal("Si"), (1, 1, 0), field, 38.0, offset=(0.4, 0.4))
    return dark_field("si-110", structure, field, Probe(200e3, 24.0, source_size=0.6), phonons)


def graphene(phonons: int) -> Comparison:
    """Graphene at 80 kV in a Cs-corrected microscope."""
    field = Field((192, 194), 7 * 2.46 / 194, 0)
    structure = build_structure(get_crystal("graphene"), (0, 0, 1), field, 4.0, offset=(0.3, 0.2))
    optics = HRTEMOptics(
        80e3,
        defocus=-75.0,
        C3=-1.2e5,
        focal_spread=25.0,
        semiangle=0.3,
        aperture=55.0,
        vibration=thermal_displacement(6, 300.0),
    )
    slow_seconds, slow = fastest(
        lambda: multislice_hrtem(structure, field, optics, frozen_phonons=8 * phonons), repeats=1
    )
    fast, seconds = timed(optics, structure.scatterers(), field)
    columns = structure.columns()
    return Comparison(
        "graphene",
        slow,
        slow_seconds,
        {"phase object": fast},
        seconds,
        columns.points / field.sampling,
        {"C": np.arange(len(columns))},
        field.sampling,
        coherent=True,
    )


def dark_field(
    name: str, structure: Structure, field: Field, probe: Probe, phonons: int
) -> Comparison:
    """Both dark-field images of a structure."""
    slow_seconds, slow = fastest(
        lambda: multislice_adf(structure, field, probe, detector=DETECTOR, frozen_phonons=phonons),
        repeats=1,
    )
    fast = {}
    for gamma in GAMMAS:
        fast[label(gamma)], seconds = timed(
            LinearOptics(probe, gamma, DETECTOR), structure.scatterers(), field
        )
    columns = structure.columns()
    return Comparison(
        name,
        slow,
        slow_seconds,
        {key: fitted(image, slow) for key, image in fast.items()},
        seconds,
        columns.points / field.sampling,
        by_composition(columns),
        field.sampling,
        coherent=False,
    )


def reference(path: Path) -> Comparison:
    """A multislice image from a file beside the fast image of its columns."""
    with np.load(path) as data:
        content = {key: data[key] for key in data.files}
    meta = json.loads(str(content["meta"]))
    slow = content["image"]
    sampling = float(np.mean(meta["sampling_A"]))
    field = Field(slow.shape, sampling, 0)
    points = content["positions_px"][:, ::-1]
    heaviest = content["column_Zmax"].astype(np.int64)
    where = points * sampling
    coherent = "HRTEM" in meta["mode"]
    if coherent:
        lens = meta["ctf"]
        optics: Optics = HRTEMOptics(
            meta["energy_eV"],
            defocus=lens["defocus"],
            C3=lens["Cs"],
            focal_spread=lens["focal_spread"],
            semiangle=lens["angular_spread"],
            aperture=lens["semiangle_cutoff"],
            vibration=0.0,
        )
        amount, number = content["column_natoms"].astype(float), heaviest
    else:
        optics = LinearOptics(
            Probe(meta["energy_eV"], meta["semiangle_mrad"], source_size=meta["source_fwhm_A"])
        )
        amount, number = content["column_sumZ17"], np.zeros_like(heaviest)
    image, seconds = timed(optics, Scatterers(where[:, 0], where[:, 1], amount, number), field)
    kinds = np.stack([heaviest, content["column_natoms"]], axis=1)
    return Comparison(
        path.stem.replace("_", "-"),
        slow,
        float(meta["seconds"]),
        {"phase object" if coherent else label(1.7): image if coherent else fitted(image, slow)},
        seconds,
        points,
        {
            f"Z={z} ({count} atoms)": np.flatnonzero((kinds == (z, count)).all(axis=1))
            for z, count in np.unique(kinds, axis=0)[::-1]
        },
        sampling,
        coherent,
    )


def label(gamma: float | None) -> str:
    """Name of a law of scattering."""
    return "cross-sections" if gamma is None else f"Z^{gamma}"


def timed(optics: Optics, scatterers: Scatterers, field: Field) -> tuple[Image, float]:
    """The fast image, and its CPU seconds once crystals and lenses are prepared."""
    seconds, images = fastest(
        lambda: form_image([optics], [scatterers], [field]), repeats=10, before=1
    )
    return images[0].numpy(), seconds


def fitted(image: Image, other: Image) -> Image:
    """The image scaled and lifted to be closest to another."""
    terms = np.stack([image.ravel(), np.ones(image.size)], axis=1)
    scale, offset = np.linalg.lstsq(terms, other.ravel(), rcond=None)[0]
    return np.asarray(scale * image + offset, dtype=np.float32)


def by_composition(columns: Columns) -> dict[str, NDArray[np.intp]]:
    """Indices of the columns of each composition, the strongest first."""
    from ase.data import chemical_symbols

    groups = {}
    for kind in np.unique(columns.species):
        index = np.flatnonzero(columns.species == kind)
        present = columns.counts[index].sum(axis=0) > 0
        symbols = [chemical_symbols[n] for n, p in zip(columns.numbers, present, strict=True) if p]
        groups["".join(symbols)] = index
    return groups


def intensities(comparison: Comparison, image: Image) -> dict[str, float]:
    """Mean signal of each group within 0.4 Å of its columns, relative to the first group's.

    The signal is what exceeds the darkest percent of the image, or its deviation from vacuum where
    the image is coherent.
    """
    ground = 1.0 if comparison.coherent else float(np.percentile(image, 1))
    rows, cols = np.indices(image.shape)
    means = {}
    for name, index in comparison.groups.items():
        values = []
        for y, x in comparison.points[index]:
            away = [
                np.minimum(abs(axis - centre), length - abs(axis - centre))
                for axis, centre, length in zip((rows, cols), (y, x), image.shape, strict=True)
            ]
            values.append(image[np.hypot(*away) * comparison.sampling <= 0.4].mean() - ground)
        means[name] = float(np.mean(values))
    first = next(iter(means.values()))
    return {name: value / first for name, value in means.items()}


def scores(comparison: Comparison) -> Iterator[dict[str, object]]:
    """Correlations, relative intensities and CPU seconds, a row an image."""
    images = {"multislice": comparison.slow, **comparison.fast}
    for name, image in images.items():
        score = np.corrcoef(image.ravel(), comparison.slow.ravel())[0, 1]
        rms = float(np.sqrt(np.mean((image - comparison.slow) ** 2)) / np.ptp(comparison.slow))
        shares = ", ".join(f"{k} {v:.3f}" for k, v in intensities(comparison, image).items())
        slow = name == "multislice"
        yield {
            "specimen": comparison.name,
            "image": name,
            "correlation": score,
            "rms, % of the range": f"{100 * rms:.1f}",
            "columns": shares,
            "CPU s": comparison.slow_seconds if slow else comparison.fast_seconds,
        }


def draw(comparison: Comparison, path: Path) -> None:
    """Both images at one grey scale, and a line through the brightest columns."""
    name, fast = next(iter(comparison.fast.items()))
    window = min(min(fast.shape), round(20.0 / comparison.sampling))
    extent = (0.0, window * comparison.sampling, window * comparison.sampling, 0.0)
    low, high = float(comparison.slow.min()), float(comparison.slow.max())
    figure = Figure(figsize=(11.0, 4.0), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, image, title in (
        (axes[0], comparison.slow, f"multislice ({comparison.slow_seconds:.0f} s)"),
        (axes[1], fast, f"{name} ({1e3 * comparison.fast_seconds:.0f} ms)"),
    ):
        axis.imshow(image[:window, :window], cmap="gray", vmin=low, vmax=high, extent=extent)
        axis.set(title=title, xlabel="Å")
    inside = (comparison.points > 1) & (comparison.points < window - 1)
    groups = [index[inside[index].all(axis=1)] for index in comparison.groups.values()]
    rows = comparison.points[max(groups, key=len) if comparison.coherent else groups[0], 0]
    row = round(rows[np.abs(rows - window / 2).argmin()])
    along = np.arange(window) * comparison.sampling
    axes[2].plot(along, comparison.slow[row, :window], "k", label="multislice")
    for key, image in comparison.fast.items():
        axes[2].plot(along, image[row, :window], "--", label=key)
    for axis in axes[:2]:
        axis.axhline(row * comparison.sampling, color="tab:orange", linewidth=0.6)
    unit = "intensity" if comparison.coherent else "fraction of the beam"
    axes[2].set(title="along the line", xlabel="Å", ylabel=unit)
    axes[2].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4)
    figure.savefig(path, dpi=110)
