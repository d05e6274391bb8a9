"""Fast images of thin crystals beside abTEM's multislice of the same atoms.

    python -m benchmarks peers multislice FOLDER

Runs `simulation multislice`, whose help says what is compared. abTEM is used in our own
environment, by `imaging.multislice`: `pip install napari-atomseg[multislice]`.
"""

from __future__ import annotations

import argparse
from importlib import metadata

from benchmarks import options as shared
from benchmarks.peers.environments import machine
from benchmarks.runner import chosen


def arguments(parser: argparse.ArgumentParser) -> None:
    """As those beside it."""
    shared.folder(parser, "is not needed here")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Compare."""
    (fast,) = chosen("simulation", "multislice")
    print(f"{machine()}, abTEM {metadata.version('abtem')}")
    fast.run(fast.parser().parse_args([]))
