"""The rounds of training of all models: steps, seeds, hours and losses, and the curves of these.

    python -m benchmarks models rounds docs/models/losses --output docs/models

The rounds are those that the history of this repository holds: every version of a file in `models/`
has on its card the seed, the steps, the recipe and the scores on the validation images of its
round. `MODEL.NAME.csv` in the folder is the curve of a round as `train` wrote it, whose seed is the
NAME where the weights were committed. `turns.csv` has the seconds up to a step of the version with
so many steps, as `scripts/train_zoo.py` noted them, on a busy core; the hours of other rounds were
not recorded.

Written are the table, `rounds.csv`, and `losses.png`: validation losses over the steps of those
rounds that have a curve. Each round has validation images and often losses of its own, so that only
points of one curve can be compared.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from benchmarks import options as shared
from benchmarks import tables

ROOT = Path(__file__).parents[2]
CARD = "napari_atomseg"


def git(*words: str) -> bytes:
    """What a git command prints."""
    command = [shutil.which("git") or "git", *words]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def versions(path: Path) -> Iterator[dict[str, Any]]:
    """Cards of a weights file, the oldest first, with the `date` of its commit."""
    name = path.relative_to(ROOT).as_posix()
    log = git("log", "--reverse", "--diff-filter=AM", "--format=%h %cs", "--", name).decode()
    for line in log.splitlines():
        commit, date = line.split()
        data = git("show", f"{commit}:{name}")
        (length,) = struct.unpack("<Q", data[:8])
        card = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][CARD])
        yield card | {"date": date}


def rounds(path: Path, turns: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row of the table for each round of a model, the first one first."""
    first = {(card["seed"], card["steps"]): card for card in reversed(list(versions(path)))}
    for seed, steps in reversed(first):
        card = first[seed, steps]
        recipe, scores = card["recipe"], card["scores"]
        of_it = (turns["seed"] == seed) & (turns["steps"] == steps)
        here = turns[(turns["model"] == path.stem) & of_it]
        yield {
            "model": path.stem,
            "seed": seed,
            "steps": steps,
            "batch": recipe["batch"],
            "crop": recipe["crop"],
            "rate": f"{recipe['optimizer']['rate']:g}",
            "validation loss": scores["validation_loss"],
            "PSNR raw": scores.get("psnr_in"),
            "PSNR": scores.get("psnr_out"),
            "hours": here["seconds"].sum() / 3600.0 if len(here) else None,
            "for steps": f"{here['step'].max()}" if len(here) else "not recorded",
            "published": card["date"],
        }


def curves(folder: Path) -> dict[str, dict[str, pd.DataFrame]]:
    """Tables of losses by model and seed."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for path in sorted(folder.glob("*.*.csv")):
        model, _, seed = path.stem.rpartition(".")
        found.setdefault(model, {})[seed] = pd.read_csv(path)
    return found


def draw(known: dict[str, dict[str, pd.DataFrame]], path: Path) -> None:
    """The curves of each model that has some."""
    figure = Figure(figsize=(4.2 * len(known), 3.2), layout="constrained")
    axes = figure.subplots(1, len(known), squeeze=False)[0]
    for axis, (model, curves_of_it) in zip(axes, known.items(), strict=True):
        for name, curve in curves_of_it.items():
            label = f"seed {name}" if name.isdigit() else name
            axis.plot(curve["step"], curve["validation_loss"], label=label)
        axis.set(title=model, xlabel="steps of the round", ylabel="validation loss", xlim=(0, None))
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the curves are, and where table and picture go."""
    shared.folder(parser, "tables of losses")
    parser.add_argument("--output", type=Path, default=Path(), help="of table and picture")


def run(options: argparse.Namespace) -> None:
    """Read the cards and curves, print, write and draw."""
    turns = pd.read_csv(options.folder / "turns.csv")
    files = sorted((ROOT / "models").glob("*.safetensors"))
    table = pd.DataFrame([row for path in files for row in rounds(path, turns)])
    table.to_csv(options.output / "rounds.csv", index=False, float_format="%.4g")
    draw(curves(options.folder), options.output / "losses.png")
    tables.show(table.astype({"steps": int}), "Rounds of training", 2)
