"""Files of microscopes, read by RosettaSciIO."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_atomseg.io.images.contents import LARGE, Content, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.tried import try_file

FORMATS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".zspy": "zspy",
    ".blo": "blockfile",
    ".prz": "pantarhei",
    ".mib": "quantumdetector",
    ".tvips": "tvips",
    ".unf": "semper",
    ".bcf": "bruker",
    ".rpl": "ripple",
    ".app5": "topspin",
    ".elid": "phenom",
    ".mrcz": "mrcz",
}
"""The RosettaSciIO plugin of each suffix that needs nothing else."""


def read_microscope(path: Path) -> list[MicroscopeImage]:
    """Every data set of a file that RosettaSciIO reads, by its suffix."""
    return images_of(path, rosetta_contents(path, FORMATS[path.suffix.lower()]))


def rosetta_contents(
    path: Path, plugin: str, lazy: bool | None = None, **options: Any
) -> list[Content]:
    """What a plugin of RosettaSciIO finds in a file.

    Parameters
    ----------
    lazy : whether data stay in the file until they are used; by default those of a large file,
        where the plugin can.

    Raises
    ------
    ImageFileError
        RosettaSciIO, or a package that it needs for this format, is not installed; or the file
        would make it hang, crash, or use all memory.
    """
    try:
        try_file(path, plugin, **options)
        reader = import_module(f"rsciio.{plugin}")
        with _quiet():
            if lazy is None:
                lazy = path.is_file() and path.stat().st_size > LARGE
            contents = _read(reader.file_reader, path, lazy, options)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "rsciio":
            reason = 'RosettaSciIO, which is not installed; run: pip install "napari-atomseg[em]"'
        elif error.name:
            reason = f"the package {error.name}; run: pip install {error.name}"
        else:
            reason = f"a package that is not installed ({error})"
        raise ImageFileError(f"{path}: {path.suffix} files need {reason}") from error
    return contents


@contextmanager
def shortened(path: Path, at: int, value: bytes) -> Iterator[Path]:
    """A copy of a file for a while, with other bytes at a place of its header.

    With a smaller number of frames there, those that are whole are read from a file that was cut.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.seek(at)
            file.write(value)
        yield copy


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings on headers: what matters to a user is in our own notes."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _read(
    reader: Callable[..., list[Content]], path: Path, lazy: bool, options: dict[str, Any]
) -> list[Content]:
    if lazy:
        try:
            return reader(str(path), lazy=True, **options)
        except NotImplementedError:  # by which a plugin says that it cannot
            pass
    return reader(str(path), **options)
