"""Every file of a folder: what was read from it, its calibration, or why it was refused.

    python -m benchmarks files table FOLDER ...
    python -m benchmarks files table FOLDER --source RosettaSciIO --untimed --all

A line a data set is printed: file, source, name and kind of the data set, shape and type of its
numbers, calibration, notes, and the seconds for the whole file. Files of suffixes that no reader
takes are counted by suffix at the end, and listed with `--all`; so are texts that are no image.
Nothing is left out because it
failed: an error that does not name the file is printed in capitals.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import tables
from napari_atomseg.io import read_images
from napari_atomseg.io.images import text
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.read import FOLDERS, READERS

COLUMNS = ("file", "source", "data set", "kind", "shape", "type", "calibration", "notes", "s")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("folders", type=Path, nargs="+", help="read with all folders in them")
    parser.add_argument("--source", default="", help="where the files come from")
    parser.add_argument("--untimed", action="store_true", help="without seconds, to compare runs")
    parser.add_argument("--all", action="store_true", help="list files of other suffixes, too")


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    last = -1 if options.untimed else len(COLUMNS)
    tables.begin(COLUMNS[:last])
    others: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for folder in options.folders:
        for path in files(folder):
            if path.suffix.lower() not in READERS and not options.all:
                others[path.suffix.lower() or "no suffix"] += 1
                continue
            name = str(path.relative_to(folder))
            found = list(lines(path))
            if (
                found[0][1] == "refused"
                and not options.all
                and path.suffix.lower() in text.SUFFIXES
            ):
                others["text without an image"] += 1
                continue
            for number, cells in enumerate(found):
                counts["refused" if cells[1] == "refused" else "data sets"] += 1
                counts["files"] += number == 0
                tables.line([name if number == 0 else "", options.source, *cells][:last])
    print(f"\n{', '.join(f'{count} {what}' for what, count in counts.items())}")
    if others:
        print("Not tried, by suffix:", ", ".join(f"{n} {s}" for s, n in others.most_common()))


def files(folder: Path) -> Iterator[Path]:
    """Files below a folder, and folders that are read as one file."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.suffix.lower() not in FOLDERS:
            yield from files(path)
        else:
            yield path


def lines(path: Path) -> Iterator[list[str]]:
    """Cells of each data set of a file, or of the refusal."""
    start = time.perf_counter()
    try:
        images = read_images(path)
    except ImageFileError as error:
        reason = str(error).replace(f"{path}: ", "").replace("|", "/").replace("\n", " ")
        yield ["", "refused", "", "", "", reason[:200], f"{time.perf_counter() - start:.2f}"]
        return
    except Exception as error:  # what a user should never meet
        yield ["", "refused", "", "", "", f"UNNAMED {type(error).__name__}: {error}", ""]
        return
    seconds = f"{time.perf_counter() - start:.2f}"
    for number, image in enumerate(images):
        yield [*described(image), seconds if number == 0 else ""]


def described(image: MicroscopeImage) -> list[str]:
    """Name, kind, shape, type, calibration and notes of a data set."""
    shape = " × ".join(map(str, image.data.shape))
    axes = ", ".join(image.axes)
    lazy = " lazy" if hasattr(image.data, "dask") else ""
    notes = " ".join(image.notes).replace("|", "/")
    return [
        image.title,
        image.kind,
        f"{shape} ({axes})",
        f"{image.data.dtype}{lazy}",
        calibration(image),
        notes,
    ]


def calibration(image: MicroscopeImage) -> str:
    """Å per pixel, or the scales in their own units; nothing where it is unknown."""
    if image.sampling is not None:
        sizes = image.sampling if isinstance(image.sampling, tuple) else (image.sampling,)
        return " × ".join(f"{size:.6g}" for size in sizes) + " Å"
    known = [
        f"{axis}: {step:.4g} {unit}"
        for axis, (step, unit) in zip(image.axes, image.scales, strict=True)
        if unit is not None
    ]
    return ", ".join(known)
