"""Scan lines put back, beside scanning-drift-corr, which merges two orthogonal scans.

    python -m benchmarks peers drift FOLDER

Makes the environment of scanning-drift-corr below FOLDER where it is missing, and measures as
`restoration lines` does, whose help says what is compared: three crystals with 10 px from column to
column, 0.5 px of jitter, 400 electrons in the brightest pixel. scanning-drift-corr has two scans of
half the electrons each, ours one. PSNR in dB of the restored images, means of the crystals; CPU
seconds of the lines alone.
"""

from __future__ import annotations

import argparse
import shutil

import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.peers.environments import PEERS, machine, pythons
from benchmarks.runner import chosen

SETTINGS = ("--jitter", "0.5", "--spacings", "10", "--doses", "400")
PEER = "drift"
METHODS = {
    "without jitter": ("still dB", ""),
    "as recorded": ("jittered dB", ""),
    "napari-atomseg, `auto`": ("auto dB", "auto CPU s"),
    "put back by the truth": ("truth dB", ""),
    PEERS[PEER].package: ("two scans dB", "two scans CPU s"),
    "the same, less blur": ("less blur dB", ""),
}
"""Columns of `restoration lines` with the PSNR and the seconds."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where."""
    shared.folder(parser, "keeps the environment and the crystals")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Make the environment, and compare."""
    from benchmarks.restoration import lines

    folder = options.folder / "drift"
    shutil.rmtree(folder / "orthogonal", ignore_errors=True)
    words = [str(folder), *SETTINGS]
    if python := pythons((PEER,), options.folder).get(PEER):
        words += ["--orthogonal", str(python)]
    (each,) = chosen("restoration", "lines")
    mean = lines.measured(each.parser().parse_args(words)).mean(numeric_only=True)
    rows = [
        {"image": name, "PSNR, dB": mean[value], "CPU s": mean.get(seconds)}
        for name, (value, seconds) in METHODS.items()
        if value in mean
    ]
    tables.show(pd.DataFrame(rows), machine(), digits=2)
