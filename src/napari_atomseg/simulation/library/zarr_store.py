"""Samples in one Zarr store (format 3): exact numbers, a chunk a sample, a shard a block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.files import sha256
from napari_atomseg._shared.types import Image
from napari_atomseg._shared.zarr_arrays import require_safe
from napari_atomseg.simulation.library.files import write_whole
from napari_atomseg.simulation.library.layout import BLOCK, MAPS, LibraryError, Parts
from napari_atomseg.simulation.library.shards import Chunk, compressors, shard

STORE = "samples.zarr"
SPECIES = 128
"""Channels of `element_maps`; those that a sample does not use take no room."""
_COUNT = "species"
"""Array with the number of channels that each sample uses."""


def prepare(folder: Path, first: Parts, count: int) -> None:
    """Create the arrays of `count` samples like the first, or lengthen those that are there."""
    import zarr

    try:
        root = zarr.open_group(folder / STORE, mode="a", zarr_format=3)
    except (ValueError, KeyError, TypeError) as error:
        raise LibraryError(
            f"{folder / STORE}: damaged ({error}); remove it, and run the same again"
        ) from error
    for name, picture in first.pictures.items():
        _array(root, name, (count, *picture.shape), np.dtype(np.float32))
    for name in first.texts:
        _array(root, name, (count,), np.dtypes.StringDType())
    if first.maps is not None:
        shape = first.pictures["image"].shape
        _array(root, MAPS, (count, SPECIES, *shape), np.dtype(np.float32))
        _array(root, _COUNT, (count,), np.dtype(np.int16))


def _array(root: Any, name: str, shape: tuple[int, ...], kind: Any) -> None:
    if name in root:
        root[name].resize(shape)
        return
    inner = (1,) * (len(shape) - 2) + shape[-2:] if len(shape) > 2 else (1,)
    root.create_array(
        name,
        shape=shape,
        dtype=kind,
        chunks=inner,
        shards=(BLOCK, *inner[1:]),
        compressors=compressors(),
        dimension_names=("sample", "species", "y", "x")[: len(shape)]
        if name == MAPS
        else ("sample", "y", "x")[: len(shape)],
    )


def write_block(folder: Path, number: int, block: list[Parts]) -> dict[str, str]:
    """Write block `number`; return the SHA-256 of every file by its name in the library."""
    arrays = [
        *block[0].pictures,
        *block[0].texts,
        *(() if block[0].maps is None else (MAPS, _COUNT)),
    ]
    for name in arrays:
        # What is left of an earlier attempt would be read, and may be damaged.
        for file in _files(folder, name, number):
            file.unlink()
    sums: dict[str, str] = {}

    def write(array: str, rest: str, chunks: list[Chunk]) -> None:
        file = f"{STORE}/{array}/c/{number}{rest}"
        sums[file] = write_whole(folder / file, shard(chunks, BLOCK))

    for name in block[0].pictures:
        write(name, "/0/0", [parts.pictures[name] for parts in block])
    for name in block[0].texts:
        write(name, "", [parts.texts[name] for parts in block])
    if block[0].maps is not None:
        maps = [[] if parts.maps is None else list(parts.maps) for parts in block]
        most = max(map(len, maps))
        if most > SPECIES:
            raise ValueError(f"a sample with {most} species; a store takes {SPECIES}")
        for place in range(most):
            each = [some[place] if place < len(some) else None for some in maps]
            write(MAPS, f"/{place}/0/0", each)
        write(_COUNT, "", [np.array(len(some), np.int16) for some in maps])
    return sums


def _files(folder: Path, array: str, number: int) -> list[Path]:
    """The shards of one block of an array: `c/NUMBER`, a file or a folder of files."""
    place = folder / STORE / array / "c" / str(number)
    return [place] if place.is_file() else [f for f in sorted(place.rglob("*")) if f.is_file()]


def metadata_sums(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that describe the arrays."""
    files = sorted((folder / STORE).rglob("zarr.json"))
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


class ZarrStore:
    """Reads the samples of one store; files are compared with their sums before they are decoded.

    Parameters
    ----------
    sums : SHA-256 of the library's files.
    """

    def __init__(self, folder: Path, sums: Mapping[str, str]) -> None:
        self.folder, self._sums = folder, sums
        self._checked: set[str] = set()

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        import zarr

        for name, wanted in self._sums.items():
            if name.startswith(f"{STORE}/") and name.endswith("/zarr.json"):
                self._compare(name, wanted)
        try:
            group = zarr.open_group(self.folder / STORE, mode="r", zarr_format=3)
            found = dict(group.arrays())
            for array in found.values():
                require_safe(array)
        except (OSError, ValueError) as error:
            raise LibraryError(f"{self.folder / STORE}: no Zarr store ({error})") from error
        return found

    def image(self, number: int, name: str) -> Image:
        """(H, W) float32 image of a sample."""
        picture: Image = self._read("image", number)
        return picture

    def picture(self, number: int, name: str, target: str) -> Image | None:
        """(H, W) float32 picture of a sample, None if there is none."""
        picture: Image | None = self._read(target, number) if target in self._arrays else None
        return picture

    def read(self, number: int, name: str) -> Parts:
        """Everything that the store has of a sample."""
        pictures: dict[str, Image] = {}
        texts: dict[str, str] = {}
        maps = None
        for array in self._arrays:
            if array == _COUNT:
                continue
            if array == MAPS:
                used = int(self._read(_COUNT, number))
                maps = self._read(MAPS, (number, slice(0, used)))
            elif self._arrays[array].ndim == 1:
                texts[array] = str(self._read(array, number))
            else:
                pictures[array] = self._read(array, number)
        return Parts(name, pictures, maps, texts)

    def _read(self, array: str, place: Any) -> Any:
        number = place[0] if isinstance(place, tuple) else place
        self._check(array, number // BLOCK)
        try:
            found = self._arrays[array][place]
        except Exception as error:  # codecs raise anything on a damaged chunk
            where = self.folder / STORE / array
            raise LibraryError(f"{where}: damaged ({error})") from error
        return found[()] if getattr(found, "ndim", 1) == 0 else found

    def _check(self, array: str, block: int) -> None:
        """Compare the files of a block with their sums, once."""
        place = f"{STORE}/{array}/c/{block}"
        if place in self._checked:
            return
        for name, wanted in self._sums.items():
            if name == place or name.startswith(f"{place}/"):
                self._compare(name, wanted)
        self._checked.add(place)

    def _compare(self, name: str, wanted: str) -> None:
        path = self.folder / name
        if not path.is_file() or sha256(path) != wanted:
            raise LibraryError(f"{path}: missing or damaged")
