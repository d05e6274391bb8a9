"""Scan lines put back, beside scanning-drift-corr, which merges two orthogonal scans.

    python -m benchmarks peers drift FOLDER

Makes the environment of scanning-drift-corr below FOLDER where it is missing, and runs `restoration
lines` with it: three crystals with 10 px from column to column, 0.5 px of jitter, 400 electrons in
the brightest pixel. `restoration lines --help` says what is compared.
"""

from __future__ import annotations

import argparse

from benchmarks import options as shared
from benchmarks.peers.environments import machine, pythons
from benchmarks.runner import chosen

SETTINGS = ("--jitter", "0.5", "--spacings", "10", "--doses", "400")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where."""
    shared.folder(parser, "keeps the environment and the scans")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Make the environment, and compare."""
    (lines,) = chosen("restoration", "lines")
    words = [str(options.folder / "drift"), *SETTINGS]
    if python := pythons(("drift",), options.folder).get("drift"):
        words += ["--orthogonal", str(python)]
    print(machine())
    lines.run(lines.parser().parse_args(words))
