"""Small valid files of microscopes, written by hand from their public format descriptions."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from napari_atomseg.io import MicroscopeImage, read_images
from napari_atomseg.io.images.image import ImageFileError

SIGNED_LONG, FLOAT, DOUBLE, UNSIGNED_SHORT = 3, 6, 7, 4
STRUCT, ARRAY = 15, 20


def read_or_refused(path: Path) -> list[MicroscopeImage]:
    """The data sets of a damaged file; none where it is refused by an error that names it."""
    try:
        return read_images(path)
    except ImageFileError as error:
        if path.name not in str(error):
            pytest.fail(f"{error} does not name the file")
        return []


def write_mrc(path: Path, data: np.ndarray, sampling: float) -> None:
    """MRC2014 (Cheng et al. 2015), mode 2, a pixel of `sampling` Å."""
    stack = data.astype("<f4").reshape(-1, *data.shape[-2:])
    nz, ny, nx = stack.shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, nz)
    struct.pack_into("<6f", header, 40, nx * sampling, ny * sampling, nz * sampling, 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    struct.pack_into("<3f", header, 76, stack.min(), stack.max(), stack.mean())
    header[208:212] = b"MAP "
    header[212:216] = b"\x44\x44\x00\x00"
    path.write_bytes(bytes(header) + stack.tobytes())


def write_ser(path: Path, data: np.ndarray, sampling: float) -> None:
    """TIA series (ES Vision) of one uint16 image, a pixel of `sampling` Å."""
    rows, columns = data.shape
    dimension = struct.pack("<i d d i i", 1, 0.0, 1.0, 0, 6) + b"Number" + struct.pack("<i", 0)
    start = 30 + len(dimension)
    element_at = start + 16
    head = struct.pack("<hhhiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, start)
    head += struct.pack("<i", 1)
    metres = sampling * 1e-10
    element = struct.pack("<ddi", 0.0, metres, 0) * 2
    element += struct.pack("<hii", 2, columns, rows) + data[::-1].astype("<u2").tobytes()
    tag = struct.pack("<hhi", 0x4152, 0, 0)
    offsets = struct.pack("<ii", element_at, element_at + len(element))
    padding = bytes(element_at - start - len(offsets))
    path.write_bytes(head + dimension + offsets + padding + element + tag)


def write_series(path: Path, frames: np.ndarray, step: float, total: int | None = None) -> None:
    """TIA series of uint16 images, whose pixels have a step of metres, or of 1/m."""
    count, rows, columns = frames.shape
    total = count if total is None else total
    dimension = struct.pack("<i d d i i", total, 0.0, 1.0, 0, 6) + b"Number" + struct.pack("<i", 0)
    start = 30 + len(dimension)
    first = start + 8 * total
    tag = struct.pack("<hhi", 0x4152, 0, 0)
    elements = []
    for frame in frames:
        element = struct.pack("<ddi", 0.0, step, 0) * 2 + struct.pack("<hii", 2, columns, rows)
        elements.append(element + frame[::-1].astype("<u2").tobytes() + tag)
    size = len(elements[0])
    data = [first + number * size for number in range(count)] + [0] * (total - count)
    tags = [at + size - len(tag) if at else 0 for at in data]
    head = struct.pack("<hhhiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, total, count, start)
    offsets = struct.pack(f"<{2 * total}i", *data, *tags)
    path.write_bytes(head + struct.pack("<i", 1) + dimension + offsets + b"".join(elements))


def write_emi(path: Path, modes: list[str], camera: bool = True) -> None:
    """The description of as many series, each recorded in a mode, by a camera or not."""
    named = "<CameraNamePath>WA-Orius</CameraNamePath>" if camera else ""
    objects = [
        "<ObjectInfo><ExperimentalDescription><Root><Data><Label>Mode</Label>"
        f"<Value> {mode}</Value><Unit></Unit></Data></Root></ExperimentalDescription>"
        f"<AcquireInfo>{named}</AcquireInfo></ObjectInfo>"
        for mode in modes
    ]
    path.write_bytes(b"JL\0\0" + "\0\0".join(objects).encode() + b"\0\xff")


def write_dm3(path: Path, data: np.ndarray, sampling: float) -> None:
    """Digital Micrograph 3 of one float32 image, a pixel of `sampling` Å, in nm."""
    rows, columns = data.shape
    calibration = group(
        directory(b"Scale", simple(FLOAT, struct.pack("<f", sampling / 10))),
        directory(b"Units", text("nm")),
        directory(b"Origin", simple(FLOAT, struct.pack("<f", 0))),
    )
    image = group(
        entry(
            b"ImageData",
            group(
                entry(
                    b"Calibrations",
                    group(
                        entry(b"Dimension", group(entry(b"", calibration), entry(b"", calibration)))
                    ),
                ),
                directory(b"Data", array(FLOAT, data.astype("<f4").tobytes(), data.size)),
                directory(b"DataType", simple(SIGNED_LONG, struct.pack("<i", 2))),
                entry(
                    b"Dimensions",
                    group(
                        directory(b"", simple(SIGNED_LONG, struct.pack("<i", columns))),
                        directory(b"", simple(SIGNED_LONG, struct.pack("<i", rows))),
                    ),
                ),
                directory(b"PixelDepth", simple(SIGNED_LONG, struct.pack("<i", 4))),
            ),
        ),
        entry(b"ImageTags", group()),
        directory(b"Name", text("micrograph")),
    )
    root = group(
        entry(
            b"DocumentObjectList",
            group(),
        ),
        entry(b"ImageList", group(entry(b"", image), entry(b"", image))),
    )
    path.write_bytes(struct.pack(">iii", 3, len(root) + 4, 1) + root + bytes(8))


def group(*tags: bytes) -> bytes:
    return struct.pack(">bbi", 1, 0, len(tags)) + b"".join(tags)


def entry(name: bytes, content: bytes) -> bytes:
    return struct.pack(">bh", 20, len(name)) + name + content


def directory(name: bytes, content: bytes) -> bytes:
    return struct.pack(">bh", 21, len(name)) + name + b"%%%%" + content


def simple(kind: int, value: bytes) -> bytes:
    return struct.pack(">ii", 1, kind) + value


def array(kind: int, values: bytes, count: int) -> bytes:
    return struct.pack(">iiii", 3, ARRAY, kind, count) + values


def text(value: str) -> bytes:
    return array(UNSIGNED_SHORT, value.encode("utf-16-le"), len(value))
