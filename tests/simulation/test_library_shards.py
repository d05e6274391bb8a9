"""Shards that are coded here against those of zarr; positions that are counted from 1."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.simulation.library.layout import counted_from
from napari_atomseg.simulation.library.shards import compressors, shard

ROOM = 4
TEXTS = ["", "row col\n1.5 2\n", "µ°½"]


def pictures(count: int) -> Any:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 9, 7)).astype(np.float32)


def create(path: Path, shape: tuple[int, ...], kind: Any) -> Any:
    inner = (1, *shape[1:])
    return zarr.create_array(
        path,
        shape=shape,
        dtype=kind,
        chunks=inner,
        shards=(ROOM, *inner[1:]),
        compressors=compressors(),
    )


@pytest.mark.parametrize("count", [ROOM, ROOM - 1])
@pytest.mark.parametrize("kind", ["<f4", "<i2", "text"])
def test_a_shard_is_the_one_that_zarr_writes(kind: str, count: int, tmp_path: Path) -> None:
    values: Any = pictures(count)
    if kind == "<i2":
        values = np.arange(1, count + 1, dtype=np.int16)
    elif kind == "text":
        values = np.array((TEXTS * 2)[1 : count + 1], dtype=object)
    of = np.dtypes.StringDType() if kind == "text" else np.dtype(kind)
    array = create(tmp_path / "array", (count, *values.shape[1:]), of)
    with zarr.config.set({"array.write_empty_chunks": True}):
        array[:] = values
    (file,) = (path for path in (tmp_path / "array" / "c").rglob("*") if path.is_file())
    data = shard(list(values), ROOM)
    if kind == "text":  # the bytes of texts may be sorted otherwise before they are compressed
        file.write_bytes(data)
        assert list(array[:]) == list(values)
    else:
        assert file.read_bytes() == data


def test_chunks_that_are_not_there_are_zeros(tmp_path: Path) -> None:
    array = create(tmp_path / "array", (ROOM, 9, 7), np.float32)
    first, last = pictures(2)
    place = tmp_path / "array" / "c" / "0" / "0"
    place.mkdir(parents=True)
    (place / "0").write_bytes(shard([first, None, last], ROOM))
    nothing = np.zeros_like(first)
    assert np.array_equal(array[:], [first, nothing, last, nothing])


def test_a_damaged_chunk_is_noticed(tmp_path: Path) -> None:
    array = create(tmp_path / "array", (ROOM, 9, 7), np.float32)
    data = bytearray(shard(list(pictures(ROOM)), ROOM))
    data[40] ^= 1
    place = tmp_path / "array" / "c" / "0" / "0"
    place.mkdir(parents=True)
    (place / "0").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="checksum"):
        array[0]


@given(
    numbers=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=3),
    change=st.sampled_from([1, -1]),
)
def test_positions_are_counted_anew_exactly(numbers: list[float], change: int) -> None:
    words = [repr(number) for number in numbers]
    moved = counted_from(" ".join(words), change).split()
    assert [Decimal(word) for word in moved[:2]] == [Decimal(word) + change for word in words[:2]]
    assert moved[2:] == words[2:]
