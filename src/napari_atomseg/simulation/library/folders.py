"""Samples in the folders of TEM ImageNet v1.3: 8-bit pictures and text files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Image
from napari_atomseg.simulation.library.files import read_checked, write_whole
from napari_atomseg.simulation.library.layout import (
    COLUMNS,
    MAPS,
    MAPS_FOLDER,
    PICTURES,
    POSITIONS,
    SETTINGS,
    TABLES,
    LibraryError,
    Parts,
    counted_from,
    is_json,
    levels_of,
    public_params,
    read_params,
    with_levels,
)

_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_ENDINGS = {COLUMNS: ".csv", SETTINGS: ".json"}
"""Ends of text files that are not `.txt`."""
_FAST = 1
"""Level of compression of PNG files."""
_SMOOTH = {PICTURES[name] for name in PICTURES if name.startswith("no_")}
"""Folders of pictures without noise."""
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])
"""Weights of red, green and blue (ITU-R BT.709)."""


def write_block(folder: Path, block: list[Parts]) -> dict[str, str]:
    """Write samples; return the SHA-256 of every file by its name in the library.

    A picture of 8 bits, as the public library has it, keeps 1/255 of its range, which is noted in
    the settings so that intensities come back. `params` and positions have the public form.
    """
    sums = {}
    for parts in block:
        levels = {name: _levels(name, picture) for name, picture in parts.pictures.items()}
        pictures = {
            f"{PICTURES[name]}/{parts.name}": (picture, levels[name])
            for name, picture in parts.pictures.items()
        }
        if parts.maps is not None:
            levels[MAPS] = _levels(MAPS, parts.maps)
            pictures |= {
                f"{MAPS_FOLDER}/{parts.name}-{i}": (each, levels[MAPS])
                for i, each in enumerate(parts.maps)
            }
        for file, (picture, limits) in pictures.items():
            runs = file.split("/")[0] not in _SMOOTH
            data = _png(
                _quantized(picture, limits), zlib.Z_RLE if runs else zlib.Z_DEFAULT_STRATEGY
            )
            sums[f"{file}.png"] = write_whole(folder / f"{file}.png", data)
        for file, text in _texts(with_levels(parts, levels)).items():
            sums[file] = write_whole(folder / file, text.encode())
    return sums


def _texts(parts: Parts) -> dict[str, str]:
    """Text files of a sample, by name: those of the public library, and what it has not."""
    files = {f"{SETTINGS}/{parts.name}.json": parts.texts["params"]}
    for name, text in parts.texts.items():
        if name == COLUMNS:
            files[f"columns/{parts.name}.csv"] = text
        elif name == "params":
            files[_text(name, parts.name)] = public_params(read_params(text))
        else:
            files[_text(name, parts.name)] = counted_from(text, 1) if name in POSITIONS else text
    return files


def _png(grey: NDArray[np.uint8], strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """A PNG file (ISO/IEC 15948) of grey values (H, W), each as its difference to the one above.

    Encoders try five such filters for every row, which takes longer than all the rest, to save
    next to nothing where images are noise or smooth.

    Parameters
    ----------
    strategy : of zlib. With `Z_RLE`, repetitions are sought in neighbouring pixels alone: noise has
        no others, and discs lose nothing by it.
    """
    height, width = grey.shape
    rows = np.empty((height, 1 + width), np.uint8)
    rows[:, 0] = 2  # the filter "up"
    rows[0, 1:] = grey[0]
    np.subtract(grey[1:], grey[:-1], out=rows[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    coder = zlib.compressobj(_FAST, strategy=strategy)
    chunks = ((b"IHDR", head), (b"IDAT", coder.compress(rows.data) + coder.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _text(table: str, name: str) -> str:
    return f"{TABLES[table]}/{name}.txt"


def _levels(name: str, picture: Image) -> tuple[float, float]:
    """Intensities of black and white; of masks always 0 and 1."""
    if name.endswith("mask"):
        return 0.0, 1.0
    low, high = (
        (float(end) for end in (picture.min(), picture.max())) if picture.size else (0.0, 0.0)
    )
    return (low, high) if high > low else (low, low + 1.0)


def _quantized(picture: Image, levels: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = levels
    grey = picture - np.float32(low)
    grey *= np.float32(255.0 / (high - low))
    np.rint(grey, out=grey)
    return grey.clip(0.0, 255.0, out=grey).astype(np.uint8)


class FolderStore:
    """Reads the samples of one library, ours or public, whatever folders it has."""

    def __init__(self, folder: Path, sums: Mapping[str, str]) -> None:
        self.folder, self._sums = folder, sums
        found = {each.name.lower(): each for each in folder.iterdir() if each.is_dir()}
        places = PICTURES | TABLES | {name: name for name in (COLUMNS, SETTINGS)}
        places[MAPS] = MAPS_FOLDER
        # Letter cases differ: the paper writes smallRadius, the public library smallradius.
        self._folders = {
            name: found[place.lower()] for name, place in places.items() if place.lower() in found
        }
        self._suffixes: dict[str, str] = {}

    def names(self) -> list[str]:
        """Names of the samples: of their images, without suffix."""
        files = self._folders["image"].iterdir()
        return sorted(f.stem for f in files if f.suffix.lower() in _SUFFIXES)

    def params(self, name: str) -> str:
        """Text of the settings of a sample, empty if there is none."""
        return self._read_text(SETTINGS, name) or self._read_text("params", name) or ""

    def image(self, number: int, name: str) -> Image:
        """(H, W) float32 image of a sample."""
        picture = self.picture(number, name, "image")
        if picture is None:
            raise LibraryError(f"{self._folders['image']}: no image of sample {name}")
        return picture

    def picture(self, number: int, name: str, target: str) -> Image | None:
        """(H, W) float32 picture of a sample, None if there is none."""
        return self._read_picture(target, name, levels_of(self.params(name)))

    def read(self, number: int, name: str) -> Parts:
        """Everything that the library has of a sample."""
        texts = {
            table: text
            for table in (*TABLES, COLUMNS)
            if (text := self._read_text(table, name)) is not None
        }
        # Libraries that were written here before had JSON in `params`, and counted from 0.
        if not is_json(texts.get("params", "")):
            texts |= self._from_zero(name, texts)
        params = self.params(name)
        if params:
            texts["params"] = params
        levels = levels_of(params)
        pictures = {"image": self.image(number, name)}
        for target in PICTURES:
            picture = self._read_picture(target, name, levels)
            if picture is not None:
                pictures[target] = picture
        maps: list[Image] = []
        while (each := self._read_picture(MAPS, f"{name}-{len(maps)}", levels)) is not None:
            maps.append(each)
        if not maps and "elements" not in read_params(params):
            return Parts(name, pictures, None, texts)
        none = np.zeros((0, *pictures["image"].shape), np.float32)
        return Parts(name, pictures, np.stack(maps) if maps else none, texts)

    def _from_zero(self, name: str, texts: Mapping[str, str]) -> dict[str, str]:
        """Positions of the public form, which count from 1."""
        try:
            return {t: counted_from(texts[t], -1) for t in POSITIONS if t in texts}
        except ValueError as error:
            raise LibraryError(f"{self.folder}: positions of sample {name}: {error}") from error

    def _read_text(self, table: str, name: str) -> str | None:
        folder = self._folders.get(table)
        path = None if folder is None else folder / f"{name}{_ENDINGS.get(table, '.txt')}"
        if path is None or not path.is_file():
            return None
        try:
            return self._bytes(path).decode()
        except UnicodeDecodeError as error:
            raise LibraryError(f"{path}: damaged, or not a text ({error})") from error

    def _read_picture(
        self, target: str, name: str, levels: Mapping[str, tuple[float, float]]
    ) -> Image | None:
        path = self._picture_file(target, name)
        if path is None:
            return None
        data = self._bytes(path)
        try:
            picture = imageio.imread(data, plugin="pillow")
        except Exception as error:  # decoders raise anything on a damaged file
            raise LibraryError(f"{path}: damaged, or not a picture ({error})") from error
        return _intensities(picture, levels.get(target, (0.0, 1.0)))

    def _picture_file(self, target: str, name: str) -> Path | None:
        folder = self._folders.get(target)
        if folder is None:
            return None
        usual = self._suffixes.get(target, ".png")
        for suffix in (usual, *_SUFFIXES):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                self._suffixes[target] = suffix
                return path
        return None

    def _bytes(self, path: Path) -> bytes:
        return read_checked(path, self._sums.get(path.relative_to(self.folder).as_posix()))


def _intensities(picture: NDArray[Any], levels: tuple[float, float]) -> Image:
    """Grey values as intensities; colours become their luminance."""
    white = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1.0
    if picture.ndim == 3:
        picture = picture[..., :3] @ _LUMINANCE if picture.shape[-1] > 2 else picture[..., 0]
    low, high = levels
    return (low + picture * ((high - low) / white)).astype(np.float32)
