"""CPU seconds of our networks and of AtomAI's U-Net for one image, in one run.

    python -m benchmarks peers networks FOLDER

The network alone, on one thread, for a square image in one piece: no tiles, and nothing of what
`restore` and `localize` do around it. The fastest of three after one that is not counted. Ours map
several tasks at once, AtomAI's network one. `over ours` is the ratio to `stem-hr` at 1024².
"""

from __future__ import annotations

import argparse
import json
import subprocess
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.peers.environments import PEERS, machine, pythons
from benchmarks.runner import FOLDER
from benchmarks.timing import fastest
from napari_atomseg import weights
from napari_atomseg.networks.files import load_weights

SIZES = (256, 512, 1024)
MODELS = ("stem-hr", "restore-hr-stem")
PEER = "atomai"


def ours(model: str) -> dict[str, object]:
    """Parameters, and seconds by size."""
    network, _ = load_weights(weights.resolve(model))
    network.eval()
    seconds = {}
    with torch.inference_mode():
        for size in SIZES:
            image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
            seconds[size], _ = fastest(partial(network, image), before=1)
    return {"parameters": sum(p.numel() for p in network.parameters()), "seconds": seconds}


def theirs(python: Path) -> dict[str, object]:
    """The same of AtomAI's network, in its environment."""
    words = [str(python.absolute()), "-m", "benchmarks", "speed", "atomai", *map(str, SIZES)]
    done = subprocess.run(
        words, cwd=FOLDER.parent, check=True, stdout=subprocess.PIPE, text=True, env={}
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    answer["seconds"] = {int(size): value for size, value in answer["seconds"].items()}
    return dict(answer)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where."""
    shared.folder(parser, "keeps the environment")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Time all of them, and print the table."""
    found = {f"napari-atomseg, {model}": ours(model) for model in MODELS}
    if python := pythons((PEER,), options.folder).get(PEER):
        found[f"{PEERS[PEER].package}, U-Net"] = theirs(python)
    rows = [
        {"network": name, "million parameters": answer["parameters"] / 1e6}
        | {f"{size}², CPU s": answer["seconds"][size] for size in SIZES}
        for name, answer in found.items()
    ]
    table = pd.DataFrame(rows)
    largest = f"{SIZES[-1]}², CPU s"
    table["over ours"] = table[largest] / table.loc[0, largest]
    tables.show(table, f"{machine()}, PyTorch {torch.__version__}, one thread")
