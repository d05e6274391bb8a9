"""Series of TIA (Emispec, FEI): .ser files, and the .emi file that describes them."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_atomseg.io.images.contents import Content, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.rosetta import rosetta_contents, shortened

_OBJECT = re.compile(rb"<ObjectInfo>.*?</ObjectInfo>", re.DOTALL)
_FACT = re.compile(rb"<Label>([ -~]*)</Label>\s*<Value>([ -~]*)</Value>")
_CAMERA = re.compile(rb"<(CameraNamePath)>([ -~]*)</CameraNamePath>")
_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>\d+)\.ser", re.IGNORECASE)

_SERIES = (0x4949, 0x0197)
"""Byte order and kind with which a series begins."""
_VALID, _VALID_AT = "<I", 18
"""Number of elements that were recorded, and its byte in the header of a series."""
_WIDE_OFFSETS = 0x0220
"""Version from which offsets have 8 bytes."""
_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}
"""Bytes of a number of each type."""
_SPECTRA = 0x4120
_TAG_BYTES = {0x4142: 24, 0x4152: 8}
"""Bytes after each element, with and without a position."""

_RECIPROCAL = 1.0
"""No image has pixels of a metre: larger steps are those of a diffraction pattern, in 1/m."""


def read_series(path: Path) -> list[MicroscopeImage]:
    """A series; what it shows is taken from the .emi file beside it, where there is one.

    Of a series that was aborted the whole frames are read, which is told in the notes.
    """
    found = _NUMBERED.fullmatch(path.name)
    description: Mapping[str, str] = {}
    if found is not None:
        objects = _descriptions(_beside(path, found["stem"] + ".emi"))
        number = int(found["number"]) - 1
        description = objects[number] if 0 <= number < len(objects) else {}
    return images_of(path, [_described(each, description) for each in _contents(path)])


def read_emi(path: Path) -> list[MicroscopeImage]:
    """All series that belong to an .emi file, in their order, each by the name of its file."""
    series = sorted(
        (int(found["number"]), each)
        for each in path.parent.iterdir()
        if (found := _NUMBERED.fullmatch(each.name)) and found["stem"] == path.stem
    )
    if not series:
        raise ImageFileError(
            f"{path}: it describes series, whose numbers are in files such as "
            f"{path.stem}_1.ser: put them beside it, or open one of them"
        )
    objects = _descriptions(path)
    images: list[MicroscopeImage] = []
    for number, file in series:
        description = objects[number - 1] if number <= len(objects) else {}
        contents = [{**each, "title": file.stem} for each in _contents(file)]
        images += images_of(path, [_described(each, description) for each in contents])
    return images


def _beside(path: Path, name: str) -> Path | None:
    """A file of the same folder, whatever the case of its suffix."""
    names = {each.name.lower(): each for each in path.parent.iterdir()}
    return names.get(name.lower())


def _descriptions(path: Path | None) -> list[dict[str, str]]:
    """Mode, camera and further facts on each series of an .emi file."""
    if path is None:
        return []
    return [
        {
            label.decode(): value.decode().strip()
            for label, value in (*_FACT.findall(text), *_CAMERA.findall(text))
        }
        for text in _OBJECT.findall(path.read_bytes())
    ]


def _described(content: Content, description: Mapping[str, str]) -> Content:
    """The content with the units of its last two axes, which the series itself does not name."""
    axes = [dict(axis) for axis in content["axes"]]
    pixels = [axis for axis in axes[-2:] if axis.get("name") in ("x", "y")]
    if len(pixels) == 2 and len(axes) > 1:
        large = any(abs(float(axis["scale"])) * 1e-9 > _RECIPROCAL for axis in pixels)
        if large or _is_diffraction(description):
            for axis in pixels:
                axis["units"] = "1/m"
                axis["scale"] = abs(float(axis["scale"])) * 1e-9 if large else None
    original = {**content.get("original_metadata", {}), "ExperimentalDescription": description}
    return {**content, "axes": axes, "original_metadata": original}


def _is_diffraction(description: Mapping[str, str]) -> bool:
    """Whether a pattern was recorded: by a camera while scanning, or in the diffraction mode."""
    mode = description.get("Mode", "")
    if "STEM" in mode:
        return "CameraNamePath" in description
    return "Diffraction" in mode


def _contents(path: Path) -> list[Content]:
    """A series in nm as RosettaSciIO reads it, or its whole frames if it was aborted."""
    series = _Series.of(path)
    if series.whole == 0:
        raise ImageFileError(f"{path}: the series was aborted before its first frame was whole")
    if series.whole == series.valid:
        contents = rosetta_contents(path, "tia")
    else:
        with shortened(path, _VALID_AT, struct.pack(_VALID, series.whole)) as copy:
            contents = rosetta_contents(copy, "tia", lazy=False)
    if series.whole == series.total:
        return contents
    note = f"The series was aborted: {series.whole} of {series.total} frames are whole."
    if series.dimensions > 1:
        note += " The others are filled with zeros."
    return [{**each, "notes": [note]} for each in contents]


@dataclass(frozen=True)
class _Series:
    """Numbers of elements that were asked for, are said to be there, and are whole."""

    total: int
    valid: int
    whole: int
    dimensions: int

    @classmethod
    def of(cls, path: Path) -> _Series:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(34)
            try:
                *start, version, kind, tag, total, valid = struct.unpack_from("<HHHIIII", head)
                if tuple(start) != _SERIES:
                    raise ImageFileError(f"{path}: not a series of TIA")
                wide = version >= _WIDE_OFFSETS
                at, dimensions = struct.unpack_from("<QI" if wide else "<II", head, 22)
                width = 8 if wide else 4
                file.seek(at)
                table = file.read(width * min(valid, size // width))
                offsets = struct.unpack(f"<{len(table) // width}{'Q' if wide else 'I'}", table)
                ends = [offset + _element_bytes(file, offset, kind, tag) for offset in offsets]
            except (struct.error, KeyError, OverflowError) as error:
                raise ImageFileError(f"{path}: not a series of TIA, or a damaged one") from error
        whole = next((n for n, end in enumerate(ends) if end > size), len(ends))
        return cls(total, valid, whole, dimensions)


def _element_bytes(file: Any, offset: int, kind: int, tag: int) -> int:
    """Bytes of an element with its tag; more than any file has where its header is cut off."""
    start, layout = (20, "<HI") if kind == _SPECTRA else (40, "<HII")
    file.seek(offset + start)
    head = file.read(struct.calcsize(layout))
    if len(head) < struct.calcsize(layout):
        return 2**62
    number_type, *sizes = struct.unpack(layout, head)
    count = 1
    for size in sizes:
        count *= size
    return start + len(head) + count * _BYTES[number_type] + _TAG_BYTES.get(tag, 8)
