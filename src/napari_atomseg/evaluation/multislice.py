"""Crystals by multislice (abTEM): exact, slow, and so made once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg.evaluation.case import Case, Image, case_name, known_columns
from napari_atomseg.evaluation.simulated import with_shot_noise
from napari_atomseg.io.atomic import whole_file
from napari_atomseg.simulation import simulate
from napari_atomseg.weights.folders import cache_folder

SPECIMENS: tuple[dict[str, Any], ...] = (
    {"crystal": "SrTiO3", "zone_axis": (0, 0, 1), "thickness": 60.0},
    {"crystal": "Pt", "zone_axis": (0, 1, 1), "thickness": 40.0, "shape_kind": "particle"},
    {"crystal": "Si", "zone_axis": (0, 1, 1), "thickness": 60.0, "shape_kind": "wedge"},
    {"crystal": "GaAs", "zone_axis": (0, 1, 1), "thickness": 60.0, "shape_kind": "edge"},
    {"crystal": "MoS2", "zone_axis": (0, 0, 1), "thickness": 10.0},
)
SAMPLING = 0.16
"""Å a pixel."""
SHAPE = (96, 96)
"""Pixels: minutes an image."""
KNOWN = ["y", "x", "intensity", "snr", "cross_section"]
"""What is kept of the columns."""


@dataclass(frozen=True)
class Multislice:
    """Dark-field images by multislice, with shot noise alone.

    The images without noise are kept in a folder and made when they are not there; two runs may
    share it. How bright a column is follows from its image, see `seen_columns`.

    Attributes
    ----------
    dose : electrons/Å² of the beam.
    count, seed : of the images; each crystal of `SPECIMENS` comes in turn, turned and shifted.
    folder : for the images without noise; by default in the cache folder.
    """

    dose: float
    count: int
    seed: int
    folder: Path | None = None
    name: str = "multislice"

    def __len__(self) -> int:
        return self.count

    def case(self, index: int) -> Case:
        """See `Dataset.case`.

        Raises
        ------
        ImportError
            The image is not there and abTEM is not installed.
        """
        rng = np.random.default_rng((self.seed, index))
        settings = {
            **SPECIMENS[index % len(SPECIMENS)],
            "shape": SHAPE,
            "sampling": SAMPLING,
            "seed": int(rng.integers(2**31)),
            "rotation": float(rng.uniform(0, 90)),
            "offset": tuple(float(each) for each in rng.uniform(-2, 2, 2)),
        }
        ideal, columns, share = self._made(settings)
        counts = self.dose * SAMPLING**2 * share
        image = with_shot_noise(ideal, counts, rng)
        seen = seen_columns(columns, ideal)
        known = known_columns(seen, ideal, SAMPLING, counts).drop(columns="volume")
        return Case(case_name(self, index), image, ideal, known, SAMPLING)

    def _made(self, settings: dict[str, Any]) -> tuple[Any, pd.DataFrame, float]:
        """The image without noise, its columns, and the share of the beam where it is 1."""
        record = json.dumps(settings, sort_keys=True)
        name = hashlib.sha256(record.encode()).hexdigest()[:16]
        folder = self.folder or cache_folder() / "multislice"
        path = folder / f"{settings['crystal']}-{name}.npz"
        if not path.exists():
            made = simulate(imaging="multislice-adf", dose=1.0, jitter=0.0, **settings)
            share = made.facts["counts"] / SAMPLING**2
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial, partial.open("wb") as file:
                known = made.columns[KNOWN].to_numpy(float)
                np.savez_compressed(file, ideal=made.ideal, columns=known, share=share)
        with np.load(path, allow_pickle=False) as data:
            columns = pd.DataFrame(data["columns"], columns=KNOWN)
            return data["ideal"], columns, float(data["share"])


def seen_columns(columns: pd.DataFrame, ideal: Image) -> pd.DataFrame:
    """The columns with the intensities that an image gives them, in place of linear imaging's.

    They are the heights of Gaussians at the true places, as wide as linear imaging has them, whose
    sum over a constant background comes nearest to the image (least squares). Columns that it does
    not show, as oxygen beside heavy metals, have none; the volumes follow but for tails, and are
    good for the noise only.

    Parameters
    ----------
    columns : as `Simulation.columns`, of positive intensity.
    ideal : (H, W) image without noise.
    """
    if columns.empty:
        return columns
    area = (columns["cross_section"] / columns["intensity"]).to_numpy(float) / SAMPLING**2
    narrow = np.pi / np.median(area)
    rows, cols = np.indices(ideal.shape).reshape(2, -1, 1)
    square = (rows - columns["y"].to_numpy(float)) ** 2 + (cols - columns["x"].to_numpy(float)) ** 2
    shapes = np.column_stack([np.exp(-narrow * square), np.ones(ideal.size)])
    heights = np.linalg.lstsq(shapes, ideal.ravel().astype(float))[0][:-1]
    seen = np.maximum(heights, 0.0)
    return columns.assign(intensity=seen, cross_section=seen * area * SAMPLING**2)
