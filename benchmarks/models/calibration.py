"""Learn how probable the columns are that a model finds, and test it on scenes kept apart.

    python -m benchmarks models calibration stem-hr recipes/stem-hr.yaml --scenes 480
    python -m benchmarks models calibration my-model.safetensors my-recipe.yaml

Simulated scenes go through the model, of the simulations of its training recipe as often as they
are drawn there, by another seed, and every fourth noise without any column. Crystals lack up to a
fifth of their columns: that is how vacancies are known from columns. A column that it finds is real
where a true one lies within half a mask's radius. Two thirds of the scenes teach the weights and
the ranges of `trust.Calibration`, the last third tests them. Prints the reliability, draws it with
--pictures as `trust-reliability.png`, and writes the calibration into the package where the model
is published, else beside the weights file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.seeds import CALIBRATION as SEED
from benchmarks.seeds import generator
from napari_atomseg import analysis, inference, simulation, weights
from napari_atomseg.localization.joining import columns_of
from napari_atomseg.networks.card import read_card
from napari_atomseg.simulation import SimulationRecipe
from napari_atomseg.specimen.recipes.crystal import CrystalSpecimen
from napari_atomseg.training import TrainingRecipe, load_recipe
from napari_atomseg.training.sources import Simulated, SourceMixture, parts_of
from napari_atomseg.trust.calibration import (
    SHIPPED,
    SUFFIX,
    Calibration,
    calibration_error,
    features,
    fit_weights,
)
from napari_atomseg.trust.judge import DENOISED, Judge, to_nearest
from napari_atomseg.trust.scores import Evidence
from napari_atomseg.weights.registry import read_registry

Vector = NDArray[np.float64]

SHAPE = (160, 160)
NOISE_EVERY = 4
MISSING = (0.0, 0.2)
"""Share of the columns of crystals that are missing."""
HELD_OUT = 3
BINS = 8


class Found(NamedTuple):
    """Columns found in scenes, each array (N,)."""

    image: Vector
    peak: Vector
    signal: Vector
    contrast: Vector
    roundness: Vector
    order: Vector
    distance: Vector
    real: Vector
    noise: Vector

    @property
    def seen(self) -> Evidence:
        """Evidence of the raw image; consistency does not count."""
        unknown = np.full(len(self.peak), np.nan)
        return Evidence(unknown, self.signal, self.contrast, self.roundness, self.order)

    def each_image(self) -> Iterator[Found]:
        """The columns image by image."""
        for number in np.unique(self.image):
            yield Found(*(each[self.image == number] for each in self))


def scene(
    simulated: list[SimulationRecipe], index: int
) -> tuple[NDArray[np.float32], Vector, float]:
    """An image, its true columns (N, 2) and how near a found one must lie (px)."""
    if index % NOISE_EVERY == 0:
        rng = generator(SEED, index)
        level = rng.choice([0.3, 3.0, 30.0])
        image = rng.poisson(level, SHAPE) if index % 12 else rng.normal(size=SHAPE)
        return image.astype(np.float32), np.zeros((0, 2)), 1.0
    recipe = simulated[(index - index // NOISE_EVERY) % len(simulated)]
    if isinstance(recipe.specimen, CrystalSpecimen):
        holed = recipe.specimen.model_copy(update={"missing_columns": MISSING})
        recipe = recipe.model_copy(update={"specimen": holed})
    drawn = simulation.sample(recipe, index, SEED, SHAPE)
    near = float(drawn.columns.radius.median()) if len(drawn.columns) else 1.0
    return drawn.image, drawn.columns[["y", "x"]].to_numpy(), max(2.0, 0.5 * near)


def simulations(recipe: TrainingRecipe, count: int) -> list[SimulationRecipe]:
    """So many simulation recipes of a training, each as often as its mixture draws it."""
    source = recipe.pairs
    parts = source.parts if isinstance(source, SourceMixture) else (source,)
    first = [next(p.recipe for p in parts_of(part) if isinstance(p, Simulated)) for part in parts]
    if not isinstance(source, SourceMixture):
        return first
    return [first[number] for number in source.open(SEED).choices(range(count))]


def found_in_scenes(model: Path, recipe: TrainingRecipe, indices: range) -> Iterator[Found]:
    """What the model finds in each scene."""
    card = read_card(model)
    simulated = simulations(recipe, len(indices))
    for index in tqdm(indices, mininterval=10, leave=False):
        image, truth, near = scene(simulated, index)
        maps = inference.predict(image, ("column_map", DENOISED), model=model, precision="half")
        found = columns_of(maps)
        seen = Judge(image, maps, card, model, None).seen(0, found.y, found.x)
        points = np.stack([found.y, found.x], axis=1)
        real = np.zeros(len(found))
        real[analysis.match(points, truth, near)[0]] = 1.0
        yield Found(
            np.full(len(found), float(index)),
            found.score,
            seen.signal,
            seen.contrast,
            seen.roundness,
            seen.order,
            to_nearest(found.y, found.x) * found.magnification,
            real,
            np.full(len(found), float(index % NOISE_EVERY == 0)),
        )


def joined(parts: list[Found]) -> Found:
    """The columns of all scenes."""
    return Found(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def usual(values: Vector, low: float = 0.01) -> tuple[float, float]:
    """Range but for a hundredth at either end."""
    return float(np.nanquantile(values, low)), float(np.nanquantile(values, 1.0 - low))


def learn(model: Path, recipe: TrainingRecipe, scenes: int) -> tuple[Calibration, Found]:
    """The calibration, and the columns of the scenes that test it."""
    parts = list(found_in_scenes(model, recipe, range(scenes)))
    apart = scenes // HELD_OUT
    test, known = joined(parts[:apart]), joined(parts[apart:])
    terms = np.concatenate([features(f.peak, f.seen) for f in known.each_image()])
    fitted = fit_weights(terms, known.real)
    real = known.real > 0
    calibration = Calibration(
        model=read_card(model).name,
        recipe=recipe.name,
        weights=fitted,
        signal=max(1.0, usual(known.signal[real])[0]),
        contrast=usual(known.contrast[real]),
        spacing=usual(known.distance[real]),
    )
    probability = probabilities(calibration, test)
    scores = {
        "columns": float(len(test.real)),
        "real": float(test.real.mean()),
        "ece": calibration_error(probability, test.real),
        "ece_of_peak": calibration_error(test.peak, test.real),
        "brier": float(np.mean((probability - test.real) ** 2)),
        "brier_of_peak": float(np.mean((test.peak - test.real) ** 2)),
        "mean_on_noise": float(probability[test.noise > 0].mean()),
    }
    return calibration.model_copy(update={"scores": scores}), test


def probabilities(calibration: Calibration, found: Found) -> Vector:
    """(N,) calibrated scores of the columns of many images."""
    return np.concatenate([calibration.probability(f.peak, f.seen) for f in found.each_image()])


def reliability(probability: Vector, real: Vector) -> list[tuple[int, float, float]]:
    """Columns, mean probability and share of real columns of equally full bins."""
    parts = np.array_split(np.argsort(probability), BINS)
    return [(len(p), float(probability[p].mean()), float(real[p].mean())) for p in parts]


def draw(path: Path, calibration: Calibration, test: Found) -> None:
    """Reliability diagrams before and after, and where the false columns lie."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    after = probabilities(calibration, test)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in (("peak of the map", test.peak), ("calibrated score", after)):
        _, mean, share = zip(*reliability(values, test.real), strict=True)
        error = calibration_error(values, test.real)
        left.plot(mean, share, "o-", label=f"{name}: calibration error {100 * error:.1f} %")
    left.set(xlabel="what the score says", ylabel="share of real columns", aspect="equal")
    left.legend()
    for real, name, colour in ((1, "real", "tab:blue"), (0, "not there", "tab:red")):
        these = test.real == real
        signal = np.fmax(test.signal[these], 0.5)
        right.plot(signal, test.peak[these], ".", ms=3, color=colour, label=name, zorder=3 - real)
    right.set(xscale="log", xlabel="signal over its error", ylabel="peak of the map")
    right.set_title("columns found in scenes kept apart", fontsize=10)
    right.legend()
    figure.savefig(path, dpi=110)


def write(calibration: Calibration, model: Path) -> Path:
    """Add the calibration to the file of those shipped, or write it beside the weights."""
    sha256 = weights.sha256(model)
    published = {entry.sha256 for entry in read_registry().values()}
    path = SHIPPED if sha256 in published else model.with_name(model.stem + SUFFIX)
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    # One calibration a model: that of its latest weights.
    content = {k: v for k, v in content.items() if v["model"] != calibration.model}
    content[sha256] = calibration.model_dump(mode="json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its recipe and how many scenes."""
    parser.add_argument("model", help="name of a model, or its weights file")
    parser.add_argument("recipe", type=Path, help="training recipe whose simulations it sees")
    parser.add_argument("--scenes", type=int, default=480)
    shared.pictures(parser)


def run(options: argparse.Namespace) -> None:
    """Learn, test, print and write."""
    model = weights.resolve(options.model)
    calibration, test = learn(model, load_recipe(options.recipe), options.scenes)
    print(calibration.model_dump_json(indent=1))
    rows = reliability(probabilities(calibration, test), test.real)
    tables.show(pd.DataFrame(rows, columns=["columns", "mean score", "share of real columns"]))
    print(f"written: {write(calibration, model)}")
    if options.pictures:
        draw(options.pictures / "trust-reliability.png", calibration, test)
