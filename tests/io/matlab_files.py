"""MATLAB files with objects of classes, written as MATLAB writes them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

Classes = dict[str, tuple[str, dict[str, Any]]]
"""For each variable, its class and the properties of its object."""

_MATRIX, _OPAQUE, _STRUCTURE, _BYTES = 14, 17, 2, 9
_OBJECT = 0xDD000000


def write_objects(path: Path, variables: Classes) -> None:
    """A file of version 7, in which every variable is an object."""
    parts = [_opaque(n, kind, _matrix(_reference(i))) for i, (n, (kind, _)) in _numbered(variables)]
    values = _values(variables)
    cells = np.empty((len(values), 1), dtype=object)
    cells[:, 0] = values
    wrapper = _opaque("", "FileWrapper__", _matrix(cells))
    names = _element(1, b"MCOS".ljust(5, b"\0"))
    inner = _element(
        _MATRIX,
        _flags(_STRUCTURE) + _dimensions(1, 1) + _element(1, b"") + struct.pack("<HHi", 5, 4, 5)
        + names + wrapper,
    )  # fmt: skip
    content = np.frombuffer(b"\0\1IM\0\0\0\0" + inner, np.uint8)
    workspace = _element(
        _MATRIX,
        _flags(_BYTES) + _dimensions(1, content.size) + _element(1, b"")
        + _element(2, content.tobytes()),
    )  # fmt: skip
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    path.write_bytes(header + b"".join(parts) + workspace)


def write_objects_as_hdf5(path: Path, variables: Classes) -> None:
    """A file of version 7.3, in which every variable is an object."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for i, (name, (kind, _)) in _numbered(variables):
            data = file.create_dataset(name, data=_reference(i).T)
            data.attrs["MATLAB_class"] = np.bytes_(kind)
            data.attrs["MATLAB_object_decode"] = np.int32(3)
        references = []
        for number, value in enumerate(_values(variables)):
            data = file.create_dataset(f"#refs#/{number}", data=np.atleast_2d(value).T)
            references.append(data.ref)
        table = file.create_dataset(
            "#subsystem#/MCOS", data=np.array([references], dtype=h5py.ref_dtype)
        )
        table.attrs["MATLAB_class"] = np.bytes_("FileWrapper__")
        table.attrs["MATLAB_object_decode"] = np.int32(3)


def _numbered(variables: Classes) -> Any:
    return enumerate(variables.items(), start=1)


def _reference(number: int) -> Any:
    """What stands for the object of a number, which is also that of its class."""
    return np.array([[_OBJECT], [2], [1], [1], [number], [number]], np.uint32)


def _values(variables: Classes) -> list[Any]:
    """List of values: the table of names, classes and properties, nothing, and all values."""
    kinds = [kind for kind, _ in variables.values()]
    properties = [found for _, found in variables.values()]
    names = list(dict.fromkeys([*kinds, *(name for each in properties for name in each)]))
    text = b"".join(name.encode() + b"\0" for name in names)
    text += b"\0" * (-len(text) % 8)
    place = {name: i for i, name in enumerate(names, start=1)}
    values: list[Any] = []
    blocks = [0, 0]
    for each in properties:
        block = [len(each)]
        for name, value in each.items():
            block += [place[name], 1, len(values)]
            values.append(value)
        blocks += block + [0] * (len(block) % 2)
    regions = [
        [0] * 4 + [n for kind in kinds for n in (0, place[kind], 0, 0)],
        [0, 0],
        [0] * 6 + [n for i, _ in enumerate(kinds, start=1) for n in (i, 0, 0, 0, i, i)],
        blocks,
        [0] * 2,
    ]
    packed = [struct.pack(f"<{len(each)}I", *each) for each in regions]
    starts = [40 + len(text)]
    for each in packed:
        starts.append(starts[-1] + len(each))
    head = struct.pack("<10I", 3, len(names), *starts, 0, 0)
    table = np.frombuffer(head + text + b"".join(packed), np.uint8)[:, None]
    return [table, np.zeros((1, 0)), *values]


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<2I", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def _flags(kind: int) -> bytes:
    return _element(6, struct.pack("<2I", kind, 0))


def _dimensions(*shape: int) -> bytes:
    return _element(5, struct.pack(f"<{len(shape)}i", *shape))


def _opaque(name: str, kind: str, content: bytes) -> bytes:
    text = b"".join(_element(1, each.encode()) for each in (name, "MCOS", kind))
    return _element(_MATRIX, _flags(_OPAQUE) + text + content)


def _matrix(value: Any) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"a": value}, do_compression=False)
    return buffer.getvalue()[128:]
