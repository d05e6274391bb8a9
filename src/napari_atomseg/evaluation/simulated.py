"""Data sets that are simulated on request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.types import Image
from napari_atomseg.evaluation.case import Case, case_name, known_columns
from napari_atomseg.evaluation.tasks import known_targets
from napari_atomseg.imaging import LinearOptics, Probe, form_image
from napari_atomseg.simulation import (
    Simulation,
    SimulationRecipe,
    load_recipe,
    sample,
    simulate,
)
from napari_atomseg.simulation.api import COLLECTED
from napari_atomseg.simulation.settings import BackgroundKind, ShapeKind
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.matter.amorphous import amorphous_support
from napari_atomseg.weights.store import cache_folder

COUNTING = ("shot", "pmt")
"""Distortions that depend on the dose."""
LEVELS = ("counts", "mean_counts", "electrons_per_column")
"""Their other parameters of the dose."""

CRYSTALS: tuple[tuple[str, tuple[int, int, int], float], ...] = (
    ("Pt", (0, 1, 1), 0.16),
    ("Si", (0, 1, 1), 0.12),
    ("SrTiO3", (0, 0, 1), 0.18),
    ("graphene", (0, 0, 1), 0.14),
    ("MoS2", (0, 0, 1), 0.16),
)
"""Crystals, zone axes and sampling (Å per pixel)."""
SCALES = 0.4
"""Largest natural logarithm of a change of that sampling."""
SHAPES: tuple[ShapeKind, ...] = ("bulk", "wedge", "edge", "particle")
BACKGROUNDS: tuple[BackgroundKind, ...] = ("constant", "ramp", "nonlinear")
SUPPORT = 50.0
"""Thickness of the carbon support under particles, Å; thin sheets would be invisible on it."""
SHEETS = ("graphene", "MoS2")

FIELDS = ("noise", "vacuum", "amorphous")
SAMPLING = 0.15
"""Å a pixel of fields without columns."""
HAZE = 0.02
"""Signal of vacuum over that of a bright column."""
CARBON = 0.01
"""Fraction of the beam that 10 nm of carbon scatter onto the detector at the brightest pixel."""
FILM = 100.0
"""Thickness of the carbon film, Å."""


@dataclass(frozen=True)
class SimulatedDataset:
    """Samples of a recipe, all at one dose where one is given.

    The scenes of one seed are the same at every dose.

    Attributes
    ----------
    recipe : as `load_recipe` takes it.
    dose : electrons/Å² of the beam, or None for what the recipe draws. Of the beam an annular
        detector counts `COLLECTED` where the signal is 1, a camera (modality TEM) all.
    count, seed, shape : of the images.

    Raises
    ------
    ValueError
        There is a dose and the recipe counts no electrons.
    """

    recipe: str | Path | dict[str, Any] | SimulationRecipe
    dose: float | None
    count: int
    seed: int
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        recipe = load_recipe(self.recipe)
        if self.dose is not None:
            recipe = at_dose(recipe, self.dose)
        object.__setattr__(self, "recipe", recipe)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return cast("SimulationRecipe", self.recipe).name

    def __len__(self) -> int:
        return self.count

    def case(self, index: int) -> Case:
        """See `Dataset.case`."""
        made = sample(self.recipe, index, self.seed, self.shape)
        return simulated_case(case_name(self, index), made)


def at_dose(recipe: SimulationRecipe, dose: float) -> SimulationRecipe:
    """The recipe with one dose for all distortions that depend on it.

    Raises
    ------
    ValueError
        No distortion of the recipe depends on the dose.
    """
    share = 1.0 if recipe.modality == "TEM" else COLLECTED
    fixed = {"probability": 1.0, "dose": (dose, dose), "collected": (share, share)}
    changed = [
        {**part.model_dump(exclude=set(LEVELS)), **fixed} if part.kind in COUNTING else part
        for part in recipe.distortions
    ]
    if not any(isinstance(part, dict) for part in changed):
        raise ValueError(f"recipe {recipe.name} counts no electrons: leave its dose as it is")
    whole = recipe.model_dump(exclude={"distortions"})
    return SimulationRecipe.model_validate({**whole, "distortions": changed})


@dataclass(frozen=True)
class Crystals:
    """Named crystals in turn, as bulk, wedge, edge and particle, with shot noise alone.

    So positions can approach the Cramér–Rao bound, which assumes no other noise.

    Attributes
    ----------
    dose : electrons/Å² of the beam.
    count, seed, shape : of the images.
    """

    dose: float
    count: int
    seed: int
    shape: tuple[int, int]
    name: str = "crystals"

    def __len__(self) -> int:
        return self.count

    def case(self, index: int) -> Case:
        """See `Dataset.case`."""
        rng = np.random.default_rng((self.seed, index))
        crystal, zone_axis, sampling = CRYSTALS[index % len(CRYSTALS)]
        kind = SHAPES[index % len(SHAPES)]
        made = simulate(
            crystal,
            zone_axis,
            self.shape,
            sampling * float(np.exp(rng.uniform(-SCALES, SCALES))),
            self.dose,
            int(rng.integers(2**31)),
            rotation=float(rng.uniform(0, 360)),
            offset=tuple(rng.uniform(-2, 2, 2)),
            shape_kind=kind,
            support=SUPPORT if kind == "particle" and crystal not in SHEETS else 0.0,
            background=float(rng.uniform(0, 0.5)),
            background_kind=BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
            jitter=0.0,
        )
        return simulated_case(case_name(self, index), made)


@dataclass(frozen=True)
class EmptyField:
    """Images without columns: every detection is false.

    Attributes
    ----------
    name : "noise" (white and normal), "vacuum" (a haze with shot noise) or "amorphous" (a carbon
        film with shot noise).
    dose : electrons/Å² of the beam; None for "noise", and only there.
    count, seed, shape : of the images.
    """

    name: str
    dose: float | None
    count: int
    seed: int
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.count

    def case(self, index: int) -> Case:
        """See `Dataset.case`."""
        rng = np.random.default_rng((self.seed, FIELDS.index(self.name), index))
        if self.dose is None:
            truth = np.zeros(self.shape, np.float32)
            image = rng.standard_normal(self.shape).astype(np.float32)
        elif self.name == "vacuum":
            truth = np.full(self.shape, HAZE, np.float32)
            image = with_shot_noise(truth, self.dose * SAMPLING**2 * COLLECTED, rng)
        else:
            truth = _carbon_film(rng, self.shape)
            image = with_shot_noise(truth, self.dose * SAMPLING**2 * CARBON, rng)
        nothing = pd.DataFrame({"y": [], "x": []}, dtype=float)
        return Case(case_name(self, index), image, truth, nothing, SAMPLING)


def simulated_case(name: str, made: Simulation) -> Case:
    """A simulation as a case."""
    known = known_columns(made.columns, made.ideal, made.sampling, made.facts["counts"])
    targets = known_targets(made.targets)
    return Case(name, made.image, made.ideal, known, made.sampling, targets)


def with_shot_noise(signal: Image, counts: float, rng: np.random.Generator) -> Image:
    """The image as counted, in its own units, with `counts` electrons a pixel at signal 1."""
    counted = rng.poisson(np.maximum(signal, 0.0) * counts) / counts
    return np.asarray(counted, dtype=np.float32)


def _carbon_film(rng: np.random.Generator, shape: Sequence[int]) -> Image:
    view = Field((shape[0], shape[1]), SAMPLING, 16)
    film = amorphous_support(rng, view, FILM)
    optics = LinearOptics(Probe(source_size=0.8))
    image = form_image([optics], [film.scatterers()], [view])[0].numpy()
    inner = image[view.margin : -view.margin, view.margin : -view.margin]
    return np.asarray(inner / inner.max(), dtype=np.float32)


SPECIMENS: tuple[dict[str, Any], ...] = (
    {"crystal": "SrTiO3", "zone_axis": (0, 0, 1), "thickness": 60.0},
    {"crystal": "Pt", "zone_axis": (0, 1, 1), "thickness": 40.0, "shape_kind": "particle"},
    {"crystal": "Si", "zone_axis": (0, 1, 1), "thickness": 60.0, "shape_kind": "wedge"},
    {"crystal": "GaAs", "zone_axis": (0, 1, 1), "thickness": 60.0, "shape_kind": "edge"},
    {"crystal": "MoS2", "zone_axis": (0, 0, 1), "thickness": 10.0},
)
MULTISLICE_SAMPLING = 0.16
"""Å per pixel."""
SHAPE = (96, 96)
"""Size of the images, pixels; each takes minutes."""
KNOWN = ["y", "x", "intensity", "snr", "cross_section"]
"""Columns of the table that are stored."""


@dataclass(frozen=True)
class Multislice:
    """Dark-field images by multislice, with shot noise alone.

    The images without noise are stored in a folder, and made where they are missing; two runs may
    share it. Intensities of the columns follow from the image, see `seen_columns`.

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
            The image is missing and abTEM is not installed.
        """
        rng = np.random.default_rng((self.seed, index))
        settings = {
            **SPECIMENS[index % len(SPECIMENS)],
            "shape": SHAPE,
            "sampling": MULTISLICE_SAMPLING,
            "seed": int(rng.integers(2**31)),
            "rotation": float(rng.uniform(0, 90)),
            "offset": tuple(float(each) for each in rng.uniform(-2, 2, 2)),
        }
        ideal, columns, share = self._made(settings)
        counts = self.dose * MULTISLICE_SAMPLING**2 * share
        image = with_shot_noise(ideal, counts, rng)
        seen = seen_columns(columns, ideal)
        known = known_columns(seen, ideal, MULTISLICE_SAMPLING, counts).drop(columns="volume")
        return Case(case_name(self, index), image, ideal, known, MULTISLICE_SAMPLING)

    def _made(self, settings: dict[str, Any]) -> tuple[Any, pd.DataFrame, float]:
        """The image without noise, its columns, and the share of the beam where it is 1."""
        record = json.dumps(settings, sort_keys=True)
        name = hashlib.sha256(record.encode()).hexdigest()[:16]
        folder = self.folder or cache_folder() / "multislice"
        path = folder / f"{settings['crystal']}-{name}.npz"
        if not path.exists():
            made = simulate(imaging="multislice-adf", dose=1.0, jitter=0.0, **settings)
            share = made.facts["counts"] / MULTISLICE_SAMPLING**2
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial, partial.open("wb") as file:
                known = made.columns[KNOWN].to_numpy(float)
                np.savez_compressed(file, ideal=made.ideal, columns=known, share=share)
        with np.load(path, allow_pickle=False) as data:
            columns = pd.DataFrame(data["columns"], columns=KNOWN)
            return data["ideal"], columns, float(data["share"])


def seen_columns(columns: pd.DataFrame, ideal: Image) -> pd.DataFrame:
    """The columns with intensities from an image in place of those of linear imaging.

    Intensities are heights of Gaussians at the true positions, with the widths of linear imaging,
    fitted with a constant background by least squares. Invisible columns, such as oxygen beside
    heavy metals, have none. Volumes neglect the tails, and serve for the noise only.

    Parameters
    ----------
    columns : as `Simulation.columns`, of positive intensity.
    ideal : (H, W) image without noise.
    """
    if columns.empty:
        return columns
    area = (columns["cross_section"] / columns["intensity"]).to_numpy(float)
    area = area / MULTISLICE_SAMPLING**2
    narrow = np.pi / np.median(area)
    rows, cols = np.indices(ideal.shape).reshape(2, -1, 1)
    square = (rows - columns["y"].to_numpy(float)) ** 2 + (cols - columns["x"].to_numpy(float)) ** 2
    shapes = np.column_stack([np.exp(-narrow * square), np.ones(ideal.size)])
    heights = np.linalg.lstsq(shapes, ideal.ravel().astype(float))[0][:-1]
    seen = np.maximum(heights, 0.0)
    return columns.assign(intensity=seen, cross_section=seen * area * MULTISLICE_SAMPLING**2)
