"""Variables of a TensorFlow saved model, read without TensorFlow.

A saved model keeps its variables as a *tensor bundle*: `variables.data-00000-of-00001` has the
bytes of all tensors, `variables.index` says where each of them lies. The index is a table of sorted
keys in the format of LevelDB (its "table format" document): blocks of entries that share the
beginnings of their keys, an index of these blocks, and a footer of 48 bytes. The values are small
protocol-buffer messages, `BundleHeaderProto` and `BundleEntryProto` of TensorFlow's
`tensor_bundle.proto`: type, shape, offset and size. Nothing of it is executed, and nothing is
allocated by what the file says before it is compared with the bytes that there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.networks.card import WeightsError

_MAGIC = 0xDB4775248B80FB57
"""Last eight bytes of a table, little endian."""
_FOOTER = 48
_TRAILER = 5
"""Bytes after a block: how it is compressed, and its checksum."""
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""End of the keys of variables."""

_FLOAT, _STRING = 1, 7
"""Types of TensorFlow's `types.proto`; the only string is a description of the objects."""

LARGEST_INDEX = 2**24
MOST_ENTRIES = 100_000
MOST_AXES = 8


def read_bundle(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 variables of a bundle of one file, by name.

    Parameters
    ----------
    index, data : contents of `variables.index` and `variables.data-00000-of-00001`.

    Returns
    -------
    Arrays that share the memory of `data`, in TensorFlow's order of axes.

    Raises
    ------
    WeightsError
        The bytes are not such a bundle, a tensor lies outside the data or over another one, has
        another type, or values that are not finite; the message says which.
    """
    variables: dict[str, NDArray[np.float32]] = {}
    taken: list[tuple[int, int, str]] = []
    for key, value in _table(index):
        if not key:
            _check_header(value)
            continue
        name = key.decode("utf-8", "replace").removesuffix(_SUFFIX)
        kind, shape, offset, size = _entry(value, name)
        if kind == _STRING:
            continue
        if kind != _FLOAT:
            raise WeightsError(f"variable {name} has type {kind}; only float32 (1) is read")
        if math.prod(shape) * 4 != size:
            raise WeightsError(f"variable {name}: {size} bytes do not fit its shape {shape}")
        if offset + size > len(data):
            raise WeightsError(
                f"variable {name} ends at byte {offset + size} of {len(data)}: the file is "
                "truncated, or of another model"
            )
        taken.append((offset, offset + size, name))
        array = np.frombuffer(data, "<f4", math.prod(shape), offset).reshape(shape)
        if not np.isfinite(array).all():
            raise WeightsError(f"variable {name} has values that are not finite")
        variables[name] = array
    _check_apart(taken)
    return variables


def _check_header(value: bytes) -> None:
    """One file, little endian."""
    header = dict(_message(value))
    if header.get(1, 1) != 1 or header.get(2, 0) != 0:
        raise WeightsError("the variables are in several files, or big endian; neither is read")


def _check_apart(taken: list[tuple[int, int, str]]) -> None:
    taken.sort()
    for (_, end, first), (start, _, second) in pairwise(taken):
        if start < end:
            raise WeightsError(f"variables {first} and {second} lie over each other")


def _entry(value: bytes, name: str) -> tuple[int, tuple[int, ...], int, int]:
    """Type, shape, offset and bytes of a variable."""
    kind = offset = size = 0
    shape: list[int] = []
    for field, content in _message(value):
        if field == 1 and isinstance(content, int):
            kind = content
        elif field == 2 and isinstance(content, bytes):
            shape = [_axis(axis) for number, axis in _message(content) if number == 2]
        elif field == 4 and isinstance(content, int):
            offset = content
        elif field == 5 and isinstance(content, int):
            size = content
        elif field == 7 or (field == 3 and content != 0):
            raise WeightsError(f"variable {name} is stored in parts; that is not read")
    if len(shape) > MOST_AXES:
        raise WeightsError(f"variable {name} has {len(shape)} axes")
    return kind, tuple(shape), offset, size


def _axis(content: int | bytes) -> int:
    if not isinstance(content, bytes):
        raise WeightsError("a shape is damaged")
    length = dict(_message(content)).get(1, 0)
    if not isinstance(length, int) or length >= 2**40:
        raise WeightsError("a shape is damaged")
    return length


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values, in order."""
    if not _FOOTER < len(table) <= LARGEST_INDEX:
        raise WeightsError(f"the index of the variables has {len(table)} bytes")
    if int.from_bytes(table[-8:], "little") != _MAGIC:
        raise WeightsError("this is no index of variables: its last bytes are not those of one")
    place = len(table) - _FOOTER
    _, place = _handle(table, place)
    (start, size), _ = _handle(table, place)
    count = 0
    for _, value in _block(table, start, size):
        (first, length), _ = _handle(value, 0)
        for entry in _block(table, first, length):
            count += 1
            if count > MOST_ENTRIES:
                raise WeightsError(f"the index has more than {MOST_ENTRIES} variables")
            yield entry


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the place behind them."""
    offset, place = _varint(content, place)
    size, place = _varint(content, place)
    return (offset, size), place


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block: each key is the last one's beginning and an end of its own."""
    if offset + size + _TRAILER > len(table) or size < 4:
        raise WeightsError("the index of the variables is truncated")
    if table[offset + size] != 0:
        raise WeightsError("the index of the variables is compressed; that is not read")
    block = table[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise WeightsError("the index of the variables is damaged")
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        own, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared > len(key) or place + own + length > end:
            raise WeightsError("the index of the variables is damaged")
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length


def _message(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol-buffer message."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        wire = tag & 7
        if wire == 0:
            number, place = _varint(content, place)
            yield tag >> 3, number
            continue
        if wire == 2:
            length, place = _varint(content, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise WeightsError("the index of the variables is damaged")
        if place + length > len(content):
            raise WeightsError("the index of the variables is damaged")
        yield tag >> 3, content[place : place + length]
        place += length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    number = shift = 0
    while place < len(content) and shift < 64:
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
    raise WeightsError("the index of the variables is damaged")
