"""Losses and validation pictures of a trained model, for its page in docs/models.

    python -m benchmarks models report WEIGHTS.safetensors LOSSES.csv [--recipe RECIPE.yaml]

Writes NAME-losses.png and NAME-validation.png, and prints what the model's card says of it. The
validation images are drawn by the recipe in the card. Where this version cannot read that any more,
name one with --recipe: of it the images are taken, and the tasks are those of the model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks import options as shared
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.tasks import RESTORATION
from napari_atomseg.training.data import ExampleMaker
from napari_atomseg.training.recipe import TrainingRecipe, load_recipe
from napari_atomseg.training.validation import Validation

SHOWN = 8


def parted(log: pd.DataFrame) -> pd.DataFrame:
    """The log with an empty row before each round: another round has other validation images."""
    rounds = log.groupby((log["psnr_in"].diff().abs() > 0).cumsum())
    gap = pd.DataFrame([dict.fromkeys(log)], dtype=float)
    return pd.concat([part for _, rows in rounds for part in (rows, gap)], ignore_index=True)


def plot_losses(log: pd.DataFrame, path: Path) -> None:
    """Training and validation losses, and what scores there are, over the steps."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    losses, ratios, overlaps = figure.subplots(1, 3)
    losses.plot(log["step"], log["loss"], color="0.7", label="training, one batch")
    losses.plot(log["step"], log["validation_loss"], "C0.-", label="validation")
    losses.set(xlabel="step", ylabel="loss", yscale="log")
    for axis, label, starts in (
        (ratios, "validation PSNR (dB)", "psnr_"),
        (overlaps, "validation F1 and Dice", ("f1", "dice_")),
    ):
        for name in [name for name in log if name.startswith(starts)]:
            axis.plot(log["step"], log[name], ".-", label=name)
        axis.set(xlabel="step", ylabel=label)
    for axis in (losses, ratios, overlaps):
        if axis.lines:
            axis.legend(framealpha=0.8, fontsize=8)
    figure.savefig(path, dpi=110)


def image_recipe(card: ModelCard, given: Path | None) -> TrainingRecipe:
    """The recipe to draw validation images by, with the model's tasks.

    Raises
    ------
    ValueError
        The card's recipe was written by a version whose recipes this one does not read.
    """
    if given is not None:
        return load_recipe(load_recipe(given).model_dump() | {"tasks": card.tasks, "losses": {}})
    try:
        return load_recipe(card.recipe)
    except ValueError as error:
        raise ValueError(
            f"no validation images: the recipe in the card of {card.name} (version "
            f"{card.code_version}) is of a form that is read no more; name one with --recipe.\n"
            f"({error})"
        ) from error


def plot_validation(network: torch.nn.Module, recipe: TrainingRecipe, path: Path) -> None:
    """Validation images, what the network makes of them, and the truth."""
    source = recipe.pairs.open(recipe.seed, recipe.targets)
    validation = Validation(recipe, ExampleMaker(recipe, source).validation("cpu"))
    maps, truth = validation.maps(network)[:SHOWN], validation.targets[:SHOWN]
    rows = [("recorded", validation.image[:SHOWN, 0])]
    for task, place in validation.places.items():
        for channel in range(place.start, place.stop):
            made = maps[:, channel] if task in RESTORATION else torch.sigmoid(maps[:, channel])
            rows += [(task.replace("_", "\n"), made), ("truth", truth[:, channel])]
    figure = Figure(figsize=(SHOWN * 1.5, len(rows) * 1.5))
    axes = figure.subplots(len(rows), SHOWN)
    for line, (name, images) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, fontsize=8)
        for axis in line:
            axis.set(xticks=[], yticks=[])
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image, cmap="gray", vmin=float(image.quantile(0.002)))
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=80)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its losses and where the pictures go."""
    parser.add_argument("weights", type=Path)
    parser.add_argument("losses", type=Path)
    parser.add_argument("--recipe", type=Path, help="training recipe of the validation images")
    shared.pictures(parser, Path("docs/models"))


def run(options: argparse.Namespace) -> None:
    """Write the pictures, print the card's scores."""
    network, card = load_weights(options.weights)
    name = options.weights.stem
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{card.name}: {card.architecture}, {size:,} parameters, {card.steps:,} steps")
    print(pd.Series(card.scores).to_string())
    plot_losses(parted(pd.read_csv(options.losses)), options.pictures / f"{name}-losses.png")
    try:
        recipe = image_recipe(card, options.recipe)
    except ValueError as error:
        sys.exit(str(error))
    plot_validation(network, recipe, options.pictures / f"{name}-validation.png")
