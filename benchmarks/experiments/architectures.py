"""r_em's ablation in small: architectures trained alike, and their PSNR on one validation set.

    python -m benchmarks experiments architectures FOLDER [--networks unet grdn] [--minutes 10]

Each network denoises images of the recipe `hr-stem` for the same time of training, or the same
number of steps (Lobato et al. 2024, Table 1, trains to convergence). Trainings lie in FOLDER.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import Any

import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from napari_atomseg import networks
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.training import train

SMALL = {"growth": 16, "layers": 4, "blocks": 3, "groups": 3, "stem": 2}
FORMS: dict[str, dict[str, Any]] = {
    "cgrdn_small": {"name": "cgrdn_small"},
    "grdn_small": {"name": "grdn", "arguments": SMALL},
    "unet": {"name": "unet"},
    "nafnet": {"name": "nafnet"},
    "cgrdn": {"name": "cgrdn"},
    "grdn": {"name": "grdn"},
}


def recipe(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The training recipe of one architecture."""
    return {
        "name": name,
        "seed": 6,
        "steps": options.steps,
        "batch": options.batch,
        "crop": options.crop,
        "validate_every": max(1, options.steps // 8),
        "validation": 32,
        "tasks": ["denoise"],
        "network": FORMS[name],
        "optimizer": {"rate": 5e-4, "warm_up": 50},
        "losses": {"denoise": [{"kind": "l1"}]},
        "simulation": options.simulation,
    }


def trained(name: str, options: argparse.Namespace) -> dict[str, float]:
    """The last validation of a training, its seconds and its network's parameters."""
    last: dict[str, float] = {}
    token, start = CancelToken(), time.monotonic()

    def watch(event: Any) -> None:
        if event.entry is not None:
            last.update(event.entry)
        if options.minutes and time.monotonic() - start > 60 * options.minutes and last:
            token.cancel()

    output = options.folder / f"{name}.safetensors"
    with contextlib.suppress(Cancelled):
        train(recipe(name, options), output, watch=watch, cancel=token)
    form = FORMS[name]
    network = networks.create(form["name"], **form.get("arguments", {}))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": last["step"],
        "seconds": time.monotonic() - start,
        "PSNR in": last["psnr_in"],
        "PSNR out": last["psnr_out"],
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """Networks, images and how long to train."""
    shared.trainings(parser, steps=1000, batch=8, crop=96)
    parser.add_argument("--networks", nargs="+", choices=FORMS, default=list(FORMS)[:4])
    parser.add_argument("--simulation", default="hr-stem")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop each after so long")


def run(options: argparse.Namespace) -> None:
    """Train each network and print the table."""
    rows = {name: trained(name, options) for name in options.networks}
    title = f"{options.simulation}, batches of {options.batch} x {options.crop}²"
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network").reset_index()
    tables.show(table.astype({"steps": int}), title, 2)
