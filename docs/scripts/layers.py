"""Lattice, displacements and layers of a recorded PbTiO3/SrRuO3 multilayer.

The image comes with the TEMUL toolkit (`pto_sro.hspy`, GPL-3) and is not shown: the picture has the
columns and what was measured of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from ase import Atoms
from matplotlib.figure import Figure

import napari_atomseg as atomseg
from napari_atomseg import analysis, measurements
from napari_atomseg.io import read_image
from napari_atomseg.measurements import Report

BULK = 0.0377 * 415.2
"""pm of Ti from the middle of its Pb in bulk PbTiO3 (Nelmes and Kuhs 1985)."""
PLACES = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
PSEUDOCUBIC = 3.93
"""Å of SrRuO3, taken for cubic."""
COLOURS = {"Pb": "#d62728", "TiO": "#1f77b4", "Sr": "#2ca02c", "RuO": "#ff7f0e"}
FACTOR = 10.0
"""Arrows are so much longer than displacements."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The image."""
    parser.add_argument("image", type=Path, help="pto_sro.hspy")


def draw(folder: Path, image: Path) -> None:
    """Draw real-pto-sro.png and print the summaries."""
    recorded = read_image(image)
    columns = atomseg.localize(recorded.data, sampling=recorded.sampling)
    first = measurements.lattice(
        columns, sampling=recorded.sampling, crystal="PbTiO3", zone_axis=(0, 0, 1)
    )
    sampling = float(first.tables["Zone axis"]["sampling"].iloc[0])
    with TemporaryDirectory() as place:
        ruthenate = Path(place) / "SrRuO3.cif"
        Atoms("SrRuO3", scaled_positions=PLACES, cell=[PSEUDOCUBIC] * 3, pbc=True).write(ruthenate)
        report = measurements.lattice(
            columns, sampling=sampling, crystal=("PbTiO3", str(ruthenate)), zone_axis=(0, 0, 1)
        )
    moved = measurements.displacements(report.columns, lattice=report.lattice, sampling=sampling)
    for each in (first, report, moved):
        sys.stdout.write(f"{each}\n\n")
    layers = _layers(report, moved.table)
    sys.stdout.write(layers.round(2).to_string() + "\n")
    _picture(report, moved.table, layers, sampling).savefig(folder / "real-pto-sro.png", dpi=100)


def _layers(report: Report, moved: pd.DataFrame) -> pd.DataFrame:
    """Displacements by layer, and the intensity of the A columns around."""
    columns = report.columns
    found = analysis.layer_profile(moved, ["dy_pm", "dx_pm"], report.lattice)
    of_a = columns[columns["sublattice"] == 0]
    mean = of_a.groupby("j")["volume"].median()
    # The layer of B columns j lies between the A columns j and j + 1.
    return found.assign(
        a_site=[0.5 * (mean.get(j, np.nan) + mean.get(j + 1, np.nan)) for j in found["layer"]]
    )


def _picture(report: Report, moved: pd.DataFrame, layers: pd.DataFrame, sampling: float) -> Figure:
    figure = Figure(figsize=(11, 8.2), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[1, 1, 1.35])
    unit = 0.1 * sampling
    columns = report.columns
    axes = figure.add_subplot(grid[0])
    for name, colour in COLOURS.items():
        own = columns[columns["species"] == name]
        size = 10.0 + 14.0 * own["volume"] / columns["volume"].quantile(0.9)
        axes.scatter(own["x"] * unit, own["y"] * unit, c=colour, s=size, label=name, linewidths=0)
    off = columns[columns["sublattice"] < 0]
    axes.scatter(off["x"] * unit, off["y"] * unit, marker="x", s=14, color="red", label="no site")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    axes.set_title("Columns by species, larger where brighter", fontsize=9, loc="left")
    arrows = figure.add_subplot(grid[1])
    quiver = arrows.quiver(
        moved["x"] * unit,
        moved["y"] * unit,
        FACTOR * moved["dx"] * unit,
        FACTOR * moved["dy"] * unit,
        moved["dy_pm"],
        cmap="RdBu_r",
        clim=(-35, 35),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0018,
        headwidth=4,
    )
    figure.colorbar(quiver, ax=arrows, label="along y (pm)")
    arrows.set_title(
        f"B columns from the middle of their four A columns, {FACTOR:g} times longer; the "
        "polarization of PbTiO₃ points the other way",
        fontsize=9,
        loc="left",
    )
    for each in (axes, arrows):
        each.set_aspect("equal")
        each.invert_yaxis()
        each.set_xlabel("x (nm)", fontsize=8)
        each.set_ylabel("y (nm)", fontsize=8)
    lines = figure.add_subplot(grid[2])
    for name, label, colour in (
        ("dy_pm", "across the layers (y)", "#c0392b"),
        ("dx_pm", "along them (x)", "#2980b9"),
    ):
        lines.errorbar(
            layers["distance"],
            layers[name],
            layers[f"{name}_err"],
            marker="o",
            capsize=3,
            color=colour,
            label=label,
        )
    lines.axhline(0.0, color="0.6", linewidth=0.8)
    lines.axhline(BULK, color="0.4", linewidth=0.8, linestyle="--")
    lines.text(layers["distance"].iloc[4], BULK + 0.8, "bulk PbTiO₃", fontsize=8, color="0.3")
    lines.set_xlabel("distance across the layers (Å)")
    lines.set_ylabel("displacement of B, mean of a layer (pm)")
    bright = lines.twinx()
    bright.plot(
        layers["distance"],
        layers["a_site"] / 1e6,
        color="0.5",
        linestyle=":",
        marker="^",
        markersize=4,
        label="intensity of A (right)",
    )
    bright.set_ylabel("intensity of A columns (10⁶)")
    curves, names = lines.get_legend_handles_labels()
    other, other_names = bright.get_legend_handles_labels()
    lines.legend(curves + other, names + other_names, fontsize=8, loc="upper center")
    return figure
