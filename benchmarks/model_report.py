"""Losses and validation pictures of a trained model, for its page in docs/models.

    python benchmarks/model_report.py WEIGHTS.safetensors LOSSES.csv -o docs/models

Writes NAME-losses.png and NAME-validation.png, and prints the scores of the last validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import torch

mpl.use("Agg")
import matplotlib.pyplot as plt

from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.tasks import RESTORATION
from napari_atomseg.training.feed import Maker
from napari_atomseg.training.recipe import load_recipe
from napari_atomseg.training.validation import Validation

SHOWN = 8


def plot_losses(log: pd.DataFrame, path: Path) -> None:
    """Training and validation losses, restoration and detection, over the steps."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    axes[0].plot(log["step"], log["loss"], color="0.7", label="training, one batch")
    axes[0].plot(log["step"], log["validation_loss"], "C0.-", label="validation")
    axes[0].set(xlabel="step", ylabel="loss", yscale="log")
    axes[0].legend(frameon=False)
    axes[1].plot(log["step"], log["psnr_out"], "C1.-", label="denoised")
    axes[1].axhline(log["psnr_in"].iloc[-1], color="0.5", ls="--", label="as recorded")
    axes[1].set(xlabel="step", ylabel="validation PSNR (dB)")
    axes[1].legend(frameon=False)
    axes[2].plot(log["step"], log["f1"], "C2.-")
    axes[2].set(xlabel="step", ylabel="validation F1 of the column map")
    figure.savefig(path, dpi=110)


def plot_validation(weights: Path, path: Path) -> None:
    """Validation images, what the network makes of them, and the truth."""
    network, card = load_weights(weights)
    recipe = load_recipe(card.recipe)
    source = recipe.pairs.open(recipe.seed, recipe.targets)
    validation = Validation(recipe, Maker(recipe, source).validation("cpu"))
    maps, truth = validation.maps(network)[:SHOWN], validation.targets[:SHOWN]
    rows = [("recorded", validation.image[:SHOWN, 0])]
    for channel, task in enumerate(card.tasks):
        made = maps[:, channel] if task in RESTORATION else torch.sigmoid(maps[:, channel])
        rows += [(task.replace("_", "\n"), made), ("truth", truth[:, channel])]
    figure, axes = plt.subplots(len(rows), SHOWN, figsize=(SHOWN * 1.5, len(rows) * 1.5))
    for line, (name, images) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, fontsize=8)
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, cmap="gray", vmin=float(image.quantile(0.002)))
            axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Read the arguments, write the pictures, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("losses", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/models"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    log = pd.read_csv(arguments.losses)
    name = arguments.weights.stem
    plot_losses(log, arguments.output / f"{name}-losses.png")
    plot_validation(arguments.weights, arguments.output / f"{name}-validation.png")
    print(log.iloc[-1].to_string())


if __name__ == "__main__":
    main()
