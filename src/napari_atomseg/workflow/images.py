"""The images that a workflow is applied to: files, and frames of stacks in files or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.files import digest, sha256
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io import IMAGE_SUFFIXES, MicroscopeImage, read_image
from napari_atomseg.io.images.read import FOLDERS
from napari_atomseg.io.inputs import INPUT, image_input, with_input


@dataclass(frozen=True)
class ImageFile:
    """An image in a file.

    Attributes
    ----------
    path : of the file.
    dataset : number or title of one data set among several.
    frame : number of one image along the first axis of a stack; None for all of it.
    """

    path: Path
    dataset: int | str | None = None
    frame: int | None = None

    @property
    def label(self) -> str:
        """The image as tables name it: the path, with the frame of a stack."""
        return str(self.path) if self.frame is None else f"{self.path} [{self.frame}]"

    @property
    def stem(self) -> str:
        """Name for a folder of results."""
        return self.path.stem if self.frame is None else f"{self.path.stem}-{self.frame:04}"

    def key(self) -> str:
        """Hash of the pixels, and of all that says which ones are taken.

        Of one frame of a stack these are its own, with the scale: a film may be much larger.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        if self.frame is not None:
            image = self._framed()
            pixels = digest(np.asarray(image.data))
            parts = (pixels, repr(image.scales), repr(self.dataset), repr(self.frame))
            return "\n".join(parts)
        # Of a folder, as Zarr is, all files count.
        inside = [file for file in sorted(self.path.rglob("*")) if file.is_file()]
        known = [
            f"{file.relative_to(self.path).as_posix()} {_hash_of(file, *_state(file))}"
            for file in inside or [self.path]
        ]
        return "\n".join([*known, repr(self.dataset), repr(self.frame)])

    def read(self) -> MicroscopeImage:
        """Read the image.

        Raises
        ------
        OSError
            It cannot be read.
        """
        if self.frame is None:
            return with_input(read_image(self.path, self.dataset), self.path, self.dataset)
        image = self._framed()
        image = replace(image, data=np.asarray(image.data))
        return with_input(image, self.path, self.dataset, self.frame)

    def _framed(self) -> MicroscopeImage:
        """The frame of the stack, which may be lazy."""
        whole = _stack(self.path, self.dataset, self.path.stat().st_mtime_ns)
        return replace(
            whole, data=whole.data[self.frame], axes=whole.axes[1:], scales=whole.scales[1:]
        )


@dataclass(frozen=True)
class ImageArray:
    """An image in memory, such as one frame of a stack.

    Attributes
    ----------
    name : of the image, by which its results are kept.
    data : (..., H, W); lazy data are computed when their turn comes.
    sampling : Å per pixel.
    noise : how far pixels share their noise, see `localize`.
    """

    name: str
    data: Any
    sampling: Sampling | None = None
    noise: Any = None

    @property
    def label(self) -> str:
        """The image as tables name it."""
        return self.name

    @property
    def stem(self) -> str:
        """Name for a folder of results."""
        return self.name

    def key(self) -> str:
        """Hash of the pixels, the sampling and the noise."""
        known = (digest(self.data), repr(self.sampling), repr(self.noise))
        return hashlib.sha256("\n".join(known).encode()).hexdigest()

    def read(self) -> MicroscopeImage:
        """Compute the image."""
        data = np.asarray(self.data)
        axes = tuple(f"axis {place}" for place in range(data.ndim - 2))
        known = {} if self.noise is None else {"noise_correlation": self.noise}
        described = image_input(data, self.name, sampling=self.sampling, record=known)
        metadata = {"provenance": known, INPUT: described}
        return MicroscopeImage(data, self.sampling, (*axes, "y", "x"), metadata, self.name)


def frames(path: str | Path, dataset: int | str | None = None) -> list[ImageFile]:
    """The frames of a stack along its first axis, each as an image; a single image is itself.

    A file that cannot be read is one image, whose reading says why.
    """
    path = Path(path)
    try:
        whole = _stack(path, dataset, path.stat().st_mtime_ns)
    except OSError:
        return [ImageFile(path, dataset)]
    if whole.data.ndim < 3:
        return [ImageFile(path, dataset)]
    return [ImageFile(path, dataset, number) for number in range(whole.data.shape[0])]


def frames_of(
    name: str, stack: Any, sampling: Sampling | None = None, noise: Any = None
) -> Iterator[ImageArray]:
    """The images of a stack (..., H, W) in memory, by their index along its leading axes."""
    leading = stack.shape[:-2]
    for index in np.ndindex(*leading):
        number = "".join(f"-{place:04}" for place in index)
        yield ImageArray(f"{name}{number}", stack[index], sampling, noise)


@lru_cache(maxsize=1)
def _stack(path: Path, dataset: int | str | None, _modified: int) -> MicroscopeImage:
    """The stack that frames are taken of one after another, read once."""
    return read_image(path, dataset)


def forget() -> None:
    """Give back the memory of the stack that was read last."""
    _stack.cache_clear()


def _state(path: Path) -> tuple[int, int]:
    """When a file was written last, and its size, by which its hash need not be found again."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=256)
def _hash_of(path: Path, _modified: int, _size: int) -> str:
    return sha256(path)


def files_in(folder: str | Path, pattern: str | None = None) -> list[Path]:
    """The images in a folder, by name.

    Parameters
    ----------
    pattern : of names, such as ``"*.dm4"`` or ``"overview*"``; by default every file with a suffix
        of images.

    Raises
    ------
    OSError
        There is no such folder.
    """
    inside = sorted(Path(folder).iterdir())
    if pattern is None:
        return [file for file in inside if file.suffix.lower() in IMAGE_SUFFIXES]
    return [
        file
        for file in inside
        if fnmatch(file.name, pattern) and (file.is_file() or file.suffix.lower() in FOLDERS)
    ]
