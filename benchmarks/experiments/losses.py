"""AtomSegNet's experiment: its U-Net trained with the modified χ² and with the mean squared error.

    python -m benchmarks experiments losses FOLDER [--steps 2000] [--batch 4] [--crop 128]

Both networks see the same images of the recipe `temimagenet` in the same order for the same number
of steps (Lin et al. 2021: a fixed library and 200 epochs, in batches of 4). Columns are then found
as in the paper, by Otsu's threshold and the centres of what is left, on images of another seed:
false positives an image, precision, recall and F1 over columns that the dose shows. Trainings lie
in FOLDER and go on where they were stopped.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.seeds import LOSSES as SEED
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.maps import normalise
from napari_atomseg.simulation import Simulation, sample
from napari_atomseg.training import train

VISIBLE = 4.0
"""Least signal over noise of a column that is to be found; fainter ones count neither way."""
COMPARED = {"modified chi-square": "chi_square", "mean squared error": "mse"}


def recipe(loss: str, options: argparse.Namespace) -> dict[str, object]:
    """The training recipe of one of the two networks."""
    return {
        "name": f"atomsegnet-{loss}",
        "seed": 4,
        "steps": options.steps,
        "batch": options.batch,
        "crop": options.crop,
        "validate_every": max(1, options.steps // 8),
        "validation": 16,
        "tasks": ["column_mask"],
        "network": {"name": options.network},
        "losses": {"column_mask": [{"kind": loss}]},
        "simulation": "temimagenet",
    }


@torch.inference_mode()
def centres(network: torch.nn.Module, image: np.ndarray) -> pd.DataFrame:
    """Centres of the areas above Otsu's threshold (Lin et al. 2021, Atom localization)."""
    scaled, _, _ = normalise(torch.from_numpy(image)[None, None])
    mask = torch.sigmoid(network(scaled))[0, 0].numpy()
    areas, count = ndimage.label(mask > threshold_otsu(mask))
    points = ndimage.center_of_mass(mask, areas, range(1, count + 1))
    return pd.DataFrame(np.reshape(points, (-1, 2)), columns=["y", "x"])


def counts(network: torch.nn.Module, test: Simulation) -> dict[str, int]:
    """Hits, false positives and columns to be found in one image."""
    found = centres(network, test.image)
    _, j = atomseg.analyze.match(found, test.columns, max(2.0, test.targets["radius"]))
    visible = (test.columns["snr"] >= VISIBLE).to_numpy()
    hits = int(visible[j].sum())
    return {"hits": hits, "false": len(found) - len(j), "visible": int(visible.sum())}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The network and how long to train."""
    shared.trainings(parser, steps=2000, batch=4, crop=128)
    parser.add_argument("--network", default="atomsegnet_unet")
    parser.add_argument("--images", type=int, default=100, help="to test on")


def run(options: argparse.Namespace) -> None:
    """Train both networks and print the table."""
    tests = [sample("temimagenet", index, SEED) for index in range(options.images)]
    rows = {}
    for name, loss in COMPARED.items():
        weights = train(
            recipe(loss, options), options.folder / f"{options.network}-{loss}.safetensors"
        )
        network, _ = load_weights(weights)
        total = pd.DataFrame([counts(network, test) for test in tests]).sum()
        precision = total["hits"] / max(total["hits"] + total["false"], 1)
        recall = total["hits"] / max(total["visible"], 1)
        rows[name] = {
            "false positives an image": total["false"] / len(tests),
            "precision": precision,
            "recall": recall,
            "F1": 2 * precision * recall / max(precision + recall, 1e-9),
        }
    title = f"{options.network}, {options.steps} steps of {options.batch} x {options.crop}²"
    tables.show(pd.DataFrame(rows).T.rename_axis("loss").reset_index(), title)
