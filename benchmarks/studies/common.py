"""What the three studies share: their command line, what they compare, and the table of scores."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.studies.images import SAMPLING
from benchmarks.studies.measure import Method

SUMMARY = {
    "dose": "dose",
    "method": "method",
    "fitted": "fitted, %",
    "precision": "precision, pm",
    "bias": "bias, pm",
    "rmse": "RMSE, pm",
    "precision/bound": "precision / bound",
    "rmse/bound": "RMSE / bound",
    "section precision": "σ precision, %",
    "section bias": "σ bias, %",
    "section precision/bound": "σ precision / bound",
}
"""The scores that all studies share, and their headings; σ is the cross-section."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Models, doses and repeats."""
    shared.folder(parser, "keeps the multislice result, some minutes of one core, once")
    shared.models(parser, ["stem-hr"])
    parser.add_argument("--doses", type=float, nargs="+", default=[500.0, 50_000.0])
    parser.add_argument("--repeats", type=int, default=10, help="images with other noise")
    shared.pictures(parser)
    shared.threads(parser)


def methods(models: list[str]) -> dict[str, Method]:
    """What is compared, by name."""
    restored = {
        Path(model).stem: partial(atomseg.restore, model=model, sampling=SAMPLING)
        for model in models
    }
    return {"raw": lambda image: image, **restored}


def show_summary(table: pd.DataFrame, title: str) -> None:
    """Print the scores that all studies share."""
    tables.show(table[list(SUMMARY)].rename(columns=SUMMARY), title, 2)
