"""Columns, lattice, displacements and strain of a planted crystal, by ours and seven packages.

    python -m benchmarks peers columns FOLDER
    python -m benchmarks peers columns FOLDER --peers trackpy scipy

Makes the environments below FOLDER that are missing, and runs `measurements peers` with them, which
says what is planted and compared. All are measured anew.
"""

from __future__ import annotations

import argparse
import shutil

from benchmarks import options as shared
from benchmarks.peers.environments import machine, pythons

NAMES = ("atomap", "singleorigin", "kemstem", "stemtool", "quantem", "trackpy", "scipy")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and which peers."""
    shared.folder(parser, "keeps the environments, the scene and its answers")
    shared.threads(parser)
    parser.add_argument("--peers", nargs="*", default=NAMES, choices=NAMES, help="[all]")


def run(options: argparse.Namespace) -> None:
    """Make the environments, measure, and print the tables."""
    from benchmarks.measurements import peers

    scenes = options.folder / "columns"
    found = pythons(tuple(options.peers), options.folder)
    shutil.rmtree(scenes, ignore_errors=True)
    print(machine())
    chosen = [f"{name}={python}" for name, python in found.items()]
    peers.run(argparse.Namespace(folder=scenes, peers=chosen, pto=None, si=None))
