"""Options that several benchmarks have.

The runner acts on two of them itself: it sets the threads, and it makes the folder of pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

Parser = argparse.ArgumentParser


def folder(parser: Parser, use: str, *, needed: bool = True) -> None:
    """`options.folder`: where data are read, or kept from one run to the next."""
    parser.add_argument("folder", type=Path, nargs=None if needed else "?", help=use)


def models(parser: Parser, default: Sequence[str], note: str = "") -> None:
    """`options.models`: names of models, or their weights files; an empty list is accepted."""
    parser.add_argument(
        "--models", nargs="*", default=list(default), help=f"names or weights files {note}"
    )


def pictures(parser: Parser, default: Path | None = None) -> None:
    """`options.pictures`: the folder to draw into; without a default nothing is drawn."""
    parser.add_argument("--pictures", type=Path, default=default, help="draw into this folder")


def threads(parser: Parser, default: int = 1) -> None:
    """`options.threads`: of PyTorch; 0 leaves them to PyTorch."""
    parser.add_argument("--threads", type=int, default=default, help="of PyTorch [%(default)s]")


def trainings(parser: Parser, *, steps: int, batch: int, crop: int) -> None:
    """`options.steps`, `batch` and `crop` of trainings that lie in `options.folder`."""
    folder(parser, "keeps the trainings, which go on where they were stopped")
    parser.add_argument("--steps", type=int, default=steps, help="of a training")
    parser.add_argument("--batch", type=int, default=batch, help="images in a step")
    parser.add_argument("--crop", type=int, default=crop, help="side of these images, pixels")


def share(parser: Parser) -> None:
    """`options.share` of the simulations; one is the whole benchmark."""
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the simulations, for a trial [1]"
    )
