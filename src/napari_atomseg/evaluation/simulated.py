"""Data sets that are simulated when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from napari_atomseg.evaluation.case import Case, Image, case_name, known_columns
from napari_atomseg.evaluation.tasks import known_targets
from napari_atomseg.imaging import LinearOptics, Probe, form_image
from napari_atomseg.simulation import (
    Simulation,
    SimulationRecipe,
    load_recipe,
    sample,
    simulate,
)
from napari_atomseg.simulation.setup import COLLECTED
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.amorphous import amorphous_support

COUNTING = ("shot", "pmt")
"""Distortions that a dose belongs to."""
LEVELS = ("counts", "mean_counts", "electrons_per_column")
"""The other ways in which they say it."""

CRYSTALS: tuple[tuple[str, tuple[int, int, int], float], ...] = (
    ("Pt", (0, 1, 1), 0.16),
    ("Si", (0, 1, 1), 0.12),
    ("SrTiO3", (0, 0, 1), 0.18),
    ("graphene", (0, 0, 1), 0.14),
    ("MoS2", (0, 0, 1), 0.16),
)
"""Crystals, zone axes and sampling in Å a pixel."""
SCALES = 0.4
"""Largest natural logarithm of a change of that sampling."""
SHAPES = ("bulk", "wedge", "edge", "particle")
SUPPORT = 50.0
"""Å of carbon under particles; sheets of a few atoms would not be seen on it."""
SHEETS = ("graphene", "MoS2")

FIELDS = ("noise", "vacuum", "amorphous")
SAMPLING = 0.15
"""Å a pixel of fields without columns."""
HAZE = 0.02
"""Signal of vacuum over that of a bright column."""
CARBON = 0.01
"""Share of the beam that 10 nm of carbon scatter onto the detector where it is brightest."""
FILM = 100.0
"""Å of carbon."""


@dataclass(frozen=True)
class Simulated:
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
    """The recipe with one dose for all that counts electrons.

    Raises
    ------
    ValueError
        Nothing in the recipe counts electrons.
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

    So positions can come near the Cramér–Rao bound, which knows of no other noise.

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
            background_kind=str(rng.choice(["constant", "ramp", "nonlinear"])),
            jitter=0.0,
        )
        return simulated_case(case_name(self, index), made)


@dataclass(frozen=True)
class EmptyField:
    """Images without a column: every one that is found is false.

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
    """A simulation as a case, with all that is known of it."""
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
