"""What the tags of a TIFF page state about it: the size of its pixels, its kind and its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tifffile

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg._shared.units import dimension, is_unknown, parse_unit, to_angstrom
from napari_atomseg.io.images.image import Kind, Scale

UNKNOWN: Scale = (None, None)

_LARGEST_PIXEL = 1e4
"""Larger pixels (Å) in the general resolution tags are those of a printer."""

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
_MILLIMETERS = {2: 25.4, 3: 10.0}
"""Millimetres in the unit of the resolution tags."""

_GATAN_UNITS, _GATAN_SCALES = (65004, 65003), (65010, 65009)
_OLYMPUS, _ZEISS, _TVIPS = (33560, 33471), 34118, 37706
_FEI = (34682, 34680)

_ZEISS_WIDTH = 1024
"""Pixels of the display that the pixel size of Zeiss refers to."""
_ROUNDED = 0.05
"""Relative difference of two sizes of a pixel of which one is rounded."""

_DIFFRACTION = 3
"""TVIPS' number for a microscope in diffraction mode."""


@dataclass(frozen=True)
class PageTags:
    """The size of a page's pixels and what the page shows.

    Attributes
    ----------
    rows, columns : step and unit along y and x.
    kind : a diffraction pattern where the tags say so.
    program : whose tags these are.
    notes : sentences for the user on tags that could not be read.
    """

    rows: Scale = UNKNOWN
    columns: Scale = UNKNOWN
    kind: Kind = "image"
    program: str = ""
    notes: tuple[str, ...] = ()

    @property
    def alike(self) -> tuple[Any, ...]:
        """What the pages of a stack have in common, with steps of the precision of single."""
        sizes = [
            None if step is None else float(f"{step:.5g}") for step, _ in (self.rows, self.columns)
        ]
        return (*sizes, self.rows[1], self.columns[1], self.kind)


def read_tags(page: tifffile.TiffPage) -> PageTags:
    """Take the size of a page's pixels from the most specific tags that it has.

    Known are ImageJ (and programs that write as it does), Thermo Fisher, Zeiss, Olympus SIS,
    TVIPS, JEOL SightX and Gatan; then the unit in a description that `tifffile` wrote, and last the
    resolution, where it is one of a microscope.
    """
    notes: list[str] = []
    for way in _WAYS:
        try:
            found = way(page)
        except Exception as error:  # what others wrote, and damaged: anything may be wrong with it
            notes.append(f"Tags of page {page.index} could not be read: {error}.")
            continue
        if found is not None:
            return replace(found, notes=tuple(notes))
    return PageTags(notes=tuple(notes))


def read_ome(text: str, number: int) -> tuple[PageTags, dict[str, Scale], tuple[str, ...]]:
    """Read the tags of an image of an OME file, the scales of its other axes, and its channels.

    Lengths are µm and times s where they have no unit, as the schema of OME has it.
    """
    images = _listed(tifffile.xml2dict(text).get("OME", {}).get("Image"))
    if number >= len(images):
        return PageTags(), {}, ()
    pixels = images[number].get("Pixels", {})
    sizes = {
        axis: (_number(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit"))
        for axis in "XYZ"
    }
    steps: dict[str, Scale] = {
        axis: (size, unit or "µm") for axis, (size, unit) in sizes.items() if size is not None
    }
    interval = _number(pixels.get("TimeIncrement"))
    if interval is not None:
        steps["T"] = interval, str(pixels.get("TimeIncrementUnit") or "s")
    channels = _listed(pixels.get("Channel"))
    names = tuple(str(each.get("Name", "")) for each in channels if isinstance(each, Mapping))
    rows, columns = steps.pop("Y", UNKNOWN), steps.pop("X", UNKNOWN)
    return _found(rows, columns, "OME") or PageTags(), steps, names


def page_title(page: tifffile.TiffPage) -> str:
    """The name that a page has in its tags: of the page, or of the detector."""
    name = page.tags.valueof("PageName")
    if isinstance(name, str) and name.strip("\0 "):
        return name.strip("\0 ")
    zeiss = page.tags.valueof(_ZEISS)
    if isinstance(zeiss, Mapping):
        channel = zeiss.get("dp_detector_channel") or zeiss.get("dp_detector_type")
        return str(channel[1]) if isinstance(channel, tuple) and len(channel) > 1 else ""
    for code in _FEI:
        metadata = page.tags.valueof(code)
        if isinstance(metadata, Mapping):
            return str(metadata.get("Detectors", {}).get("Name", ""))
    return ""


def short_tags(page: tifffile.TiffPage) -> dict[str, Any]:
    """The tags of a page that fit on a few lines, with what its maker keeps in private tags."""
    return {
        tag.name: tag.value
        for tag in page.tags.values()
        if tag.name not in _BULKY
        and (isinstance(tag.value, Mapping) or len(str(tag.value)) < _LONGEST)
    }


_BULKY = ("StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "ColorMap")
_LONGEST = 20_000
"""Characters; longer tags are tables or images."""


def _found(rows: Scale, columns: Scale, program: str) -> PageTags | None:
    """The tags of a page that gives both steps; None where one is missing or nothing."""
    if not rows[0] or not columns[0]:
        return None
    reciprocal = {dimension(unit) for _, unit in (rows, columns)} & {"reciprocal", "angle"}
    return PageTags(rows, columns, "diffraction" if reciprocal else "image", program)


def _imagej(page: tifffile.TiffPage) -> PageTags | None:
    if not page.is_imagej:
        return None
    unit = tifffile.tifffile.imagej_description_metadata(page.description).get("unit")
    if is_unknown(unit):
        # Said in the notes of the image, with the unit that is not known.
        rows, columns = ((size, str(unit)) for size in _resolution_steps(page))
        return PageTags(rows, columns, program="ImageJ")
    found = _by_resolution(page, unit, "ImageJ")
    # ImageJ takes over the inches of a scanner or printer.
    return PageTags(program="ImageJ") if unit == "inch" and _printed(found) else found


def _fei(page: tifffile.TiffPage) -> PageTags | None:
    metadata = next((page.tags.valueof(code) for code in _FEI if code in page.tags), None)
    if not isinstance(metadata, Mapping):
        return None
    scan, image = metadata.get("Scan", {}), metadata.get("Image", {})
    height, width = _number(scan.get("PixelHeight")), _number(scan.get("PixelWidth"))
    if not height or not width:
        beam: Mapping[str, Any] = next(
            (metadata[name] for name in ("IRBeam", "EBeam") if name in metadata), {}
        )
        fields = _number(beam.get("VFW")), _number(beam.get("HFW"))
        counts = _number(image.get("ResolutionY")), _number(image.get("ResolutionX"))
        height, width = (
            field / count if field and count else None
            for field, count in zip(fields, counts, strict=True)
        )
    return _found((height, "m"), (width, "m"), "Thermo Fisher")


def _zeiss(page: tifffile.TiffPage) -> PageTags | None:
    """The fourth unnamed value is the size of a pixel in m, of an image of 1024 pixels a row."""
    metadata = page.tags.valueof(_ZEISS)
    if not isinstance(metadata, Mapping):
        return None
    unnamed, named = metadata.get("", ()), metadata.get("ap_image_pixel_size", ())
    exact = _number(unnamed[3]) if len(unnamed) > 3 else None
    size: Scale = (exact * _ZEISS_WIDTH / page.imagewidth, "m") if exact else UNKNOWN
    if len(named) > 2:  # with fewer digits
        rounded = _number(named[1]), str(named[2])
        one, other = to_angstrom(*size), to_angstrom(*rounded)
        if other and (not one or abs(one / other - 1) > _ROUNDED):
            size = rounded
    return _found(size, size, "Zeiss")


def _olympus(page: tifffile.TiffPage) -> PageTags | None:
    metadata = next((page.tags.valueof(code) for code in _OLYMPUS if code in page.tags), None)
    if not isinstance(metadata, Mapping):
        return None
    height, width = (_number(metadata.get(f"pixelsize{axis}")) for axis in "yx")
    return _found((height, "m"), (width, "m"), "Olympus SIS")


def _tvips(page: tifffile.TiffPage) -> PageTags | None:
    metadata = page.tags.valueof(_TVIPS)
    if not isinstance(metadata, Mapping):
        return None
    if metadata.get("TemMode") == _DIFFRACTION:
        return PageTags(kind="diffraction", program="TVIPS")
    height, width = (_number(metadata.get(f"PixelSize{axis}")) for axis in "YX")
    return _found((height, "nm"), (width, "nm"), "TVIPS")


def _jeol(page: tifffile.TiffPage) -> PageTags | None:
    """JEOL SightX: the resolution is that of the camera, before magnification."""
    if "<TemReporter" not in page.description:
        return None
    report = tifffile.xml2dict(page.description).get("TemReporter", {})
    imaging = report.get("ImageFormingSystem", {})
    scanning = report.get("Eos", {}).get("EosMode") != "eosTEM"
    if not scanning and imaging.get("ModeString") == "DIFF":
        return PageTags(kind="diffraction", program="JEOL")
    magnification = _number(imaging.get("SelectorValue"))
    millimeters = _MILLIMETERS.get(page.tags.valueof("ResolutionUnit"))
    if scanning or imaging.get("ModeString") != "MAG" or not magnification or not millimeters:
        return PageTags(program="JEOL")
    steps = [
        (None if size is None else size * millimeters / magnification, "mm")
        for size in _resolution_steps(page)
    ]
    return _found(steps[0], steps[1], "JEOL") or PageTags(program="JEOL")


def _gatan(page: tifffile.TiffPage) -> PageTags | None:
    rows, columns = (
        (_number(page.tags.valueof(scale)), page.tags.valueof(unit))
        for scale, unit in zip(_GATAN_SCALES, _GATAN_UNITS, strict=True)
    )
    return _found(rows, columns, "Gatan")


def _shaped(page: tifffile.TiffPage) -> PageTags | None:
    """A description as JSON, which `tifffile` writes, with the unit of the resolution."""
    if not page.is_shaped:
        return None
    try:
        unit = read_json(page.description).get("unit")
    except ValueError:
        return None
    return None if parse_unit(unit) is None else _by_resolution(page, unit, "tifffile")


def _resolution(page: tifffile.TiffPage) -> PageTags | None:
    found = _by_resolution(page, _RESOLUTION_UNITS.get(page.tags.valueof("ResolutionUnit")), "")
    return None if _printed(found) else found


def _printed(found: PageTags | None) -> bool:
    """Whether pixels have the size of those on paper or a screen."""
    steps = () if found is None else (found.rows, found.columns)
    return any((to_angstrom(*step) or 0.0) > _LARGEST_PIXEL for step in steps)


def _by_resolution(page: tifffile.TiffPage, unit: object, program: str) -> PageTags | None:
    if parse_unit(unit) is None:
        return None
    rows, columns = ((size, str(unit)) for size in _resolution_steps(page))
    return _found(rows, columns, program)


def _resolution_steps(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    """Units per pixel along y and x; the tags hold pixels per unit as fractions."""
    sizes: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        pixels, units = page.tags.valueof(name, default=(0, 1))
        sizes.append(units / pixels if pixels else None)
    return sizes[0], sizes[1]


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_WAYS: tuple[Callable[[tifffile.TiffPage], PageTags | None], ...] = (
    _imagej,
    _fei,
    _zeiss,
    _olympus,
    _tvips,
    _jeol,
    _gatan,
    _shaped,
    _resolution,
)
