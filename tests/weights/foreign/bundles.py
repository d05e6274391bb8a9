"""Writes variables as TensorFlow stores them, and archives, for tests."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg.weights.foreign.sources import Wanted

KEY = "/.ATTRIBUTES/VARIABLE_VALUE"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], offset: int, size: int, kind: int = 1) -> bytes:
    axes = b"".join(field(2, field(1, n)) for n in shape)
    return field(1, kind) + field(2, axes) + field(4, offset) + field(5, size)


def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Entries whose keys share their beginnings, one restart, without compression."""
    out, last = b"", b""
    for key, value in pairs:
        shared = next(
            (n for n, (a, b) in enumerate(zip(key, last, strict=False)) if a != b),
            min(len(key), len(last)),
        )
        own = key[shared:]
        out += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        last = key
    return out + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def table(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A table of two blocks of data, and their index."""
    half = max(1, len(pairs) // 2)
    out, handles = b"", []
    for part in (pairs[:half], pairs[half:]):
        if part:
            content = block(part)
            handles.append((part[-1][0], varint(len(out)) + varint(len(content))))
            out += content + bytes(5)
    index = block(handles)
    place = varint(0) + varint(0) + varint(len(out)) + varint(len(index))
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    return out + index + bytes(5) + place.ljust(40, b"\0") + magic


def bundle(arrays: Mapping[str, np.ndarray], **changed: bytes) -> tuple[bytes, bytes]:
    """Index and data of arrays; `changed` are entries of other contents, by name."""
    pairs: dict[str, bytes] = {}
    data = b""
    for name, array in arrays.items():
        content = array.astype("<f4").tobytes()
        pairs[name + KEY] = entry(array.shape, len(data), len(content))
        data += content
    pairs |= {name + KEY: value for name, value in changed.items()}
    text = b"\x0a\x02hi"
    pairs["_CHECKPOINTABLE_OBJECT_GRAPH"] = entry((), len(data), len(text), kind=7)
    header = (b"", field(1, 1) + field(3, field(1, 1)))
    ordered = sorted((key.encode(), value) for key, value in pairs.items())
    return table([header, *ordered]), data + text


def wanted(path: str, content: bytes) -> Wanted:
    return Wanted(path, len(content), hashlib.sha256(content).hexdigest())


def archive(path: Path, members: Mapping[str, bytes], **others: Any) -> Path:
    """A .tar.gz of files by name; `others` are more `TarInfo` by name of their type."""
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, info in others.items():
            file.addfile(info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(name))
    return path
