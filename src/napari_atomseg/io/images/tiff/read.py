"""Every series of a TIFF file, with the tags of its own pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import (
    MicroscopeImage,
    Scale,
    luminance,
    make_image,
)
from napari_atomseg.io.images.layout import KEY, PROVENANCE, restored
from napari_atomseg.io.images.tiff.pages import (
    Undecoded,
    are_detectors,
    decode,
    hear_damage,
    is_picture_of,
    lacks_codec,
    whole_pages,
)
from napari_atomseg.io.images.tiff.tags import (
    UNKNOWN,
    PageTags,
    page_title,
    read_ome,
    read_tags,
    short_tags,
)

_LOOSE = ("uniform", "generic")
"""Kinds of series that are nothing but pages of one shape and type."""
_NAMES = {"C": "channel", "Z": "z", "T": "time", "I": "frame"}
_UNTOLD = "IQTZ"
"""Axes that programs write for pages of any meaning, if they have no step."""
_ALPHA = (1, 2)
"""Extra samples of a page that are its opacity."""

Page = tifffile.TiffPage | tifffile.TiffFrame


def read_tiff(path: Path) -> list[MicroscopeImage]:
    """Read every series of a TIFF file: pages of one shape and type, with one size of pixels.

    Scales come from the tags of the pages themselves, see `read_tags`. A page that only shows
    another one, in colours, in fewer bits or smaller, is a preview. Pages of one field, which
    several detectors see, are channels.

    Of a file that was cut, or is damaged, what is whole is read, and the rest told in the notes.

    Raises
    ------
    Undecoded
        The pages are compressed in a way that needs the package imagecodecs.
    Exception
        Of any kind, where no page is whole.
    """
    images: list[MicroscopeImage] = []
    colours: list[bool] = []
    failed: list[Exception] = []
    notes: list[str] = []
    with hear_damage() as damage, tifffile.TiffFile(path) as file:
        for number, series, pages, tags in _parts(file):
            try:
                images.append(_read_series(path, file, number, series, pages, tags))
            except Exception as error:  # what a damaged page raises can be anything
                failed.append(error)
                notes.append(_failure(error, pages))
                whole = whole_pages(path, pages) if series.kind in _LOOSE else []
                if not whole:
                    continue
                images.append(_read_series(path, file, number, series, whole, tags))
            colours.append(_is_coloured(pages[0].aspage()))
    if not images and failed:
        raise failed[0]
    if damage:
        notes.append("The file is damaged or was cut: further pages, or tags, are missing.")
    return _previews([_noted(image, notes) for image in images], colours)


def _failure(error: Exception, pages: Sequence[Page]) -> str:
    """A note on a series that could not be read as a whole."""
    if isinstance(error, Undecoded):
        return str(error)
    first, last = (np.ravel(page.index)[0] for page in (pages[0], pages[-1]))
    which = f"Page {first} is" if first == last else f"Of pages {first} to {last} not all are"
    end = "damaged or cut off" if first == last else "whole"
    return f"{which} {end}: {error}."


Part = tuple[int, tifffile.TiffPageSeries, Sequence[Page], PageTags]


def _parts(file: tifffile.TiffFile) -> list[Part]:
    """Number of a series, the series, and pages of it with their tags, in the order of the file.

    A page of half the size is a series of its own, not a coarser level of the one before it, but
    where the writer has described both as one.
    """
    parts = [
        (number, level, pages, tags)
        for number, series in enumerate(file.series)
        for level in (series.levels if series.kind in _LOOSE else [series])
        for pages, tags in _groups(level)
    ]
    return sorted(parts, key=lambda part: np.ravel(part[2][0].index).tolist())


def _groups(series: tifffile.TiffPageSeries) -> list[tuple[Sequence[Page], PageTags]]:
    """The pages of a series, apart where they differ in the size of their pixels, and their tags.

    What one writer has described as a whole is not divided.
    """
    present = [page for page in series.pages if page is not None]
    if series.kind not in _LOOSE or len(present) == 1:
        return [(present, read_tags(present[0].aspage()))]
    groups: dict[Any, tuple[list[Page], PageTags]] = {}
    for page in present:
        tags = read_tags(page.aspage())
        groups.setdefault(tags.alike, ([], tags))[0].append(page)
    return list(groups.values())


def _read_series(
    path: Path,
    file: tifffile.TiffFile,
    number: int,
    series: tifffile.TiffPageSeries,
    pages: Sequence[Page],
    tags: PageTags,
) -> MicroscopeImage:
    first = pages[0].aspage()
    data, axes = _pixels(path, series, pages)
    metadata: dict[str, Any] = {"tags": short_tags(first)}
    record = _own_record(first)
    steps: dict[str, Scale] = {}
    channels: Sequence[str] = ()
    if series.kind == "ome" and file.ome_metadata:
        tags, steps, channels = read_ome(file.ome_metadata, number)
    elif series.kind == "imagej":
        steps, channels = _imagej_steps(file.imagej_metadata or {})
    data, axes, of_samples = _without_samples(data, axes, first)
    names, of_pages = _axis_names(axes, steps), ""
    if len(names) == 3 and axes[0] in _UNTOLD and axes[0] not in steps and KEY not in record:
        channels = channels or _titles(data, pages)
        of_pages = _detectors(data, pages, channels)
        names = ["channel" if of_pages else names[0], "y", "x"]
    notes = [*tags.notes, *(note for note in (of_samples, of_pages) if note)]
    scales: list[Scale] = [steps.get(axis, UNKNOWN) for axis in axes[:-2]]
    scales += [tags.rows, tags.columns]
    metadata |= {"notes": notes} if notes else {}
    named = len(channels) == dict(zip(names, data.shape, strict=True)).get("channel")
    metadata |= {"channels": list(channels)} if named and any(channels) else {}
    metadata |= {"program": tags.program} if tags.program else {}
    if first.description and not record and not first.is_imagej:
        metadata["description"] = first.description
    if PROVENANCE in record:
        metadata[PROVENANCE] = record[PROVENANCE]
    image = make_image(
        path,
        data,
        metadata=metadata,
        axes=names,
        scales=scales,
        kind="preview" if first.is_reduced or first.is_mask else tags.kind,
        title=series.name if series.kind == "ome" else page_title(first),
    )
    return restored(image, record.get(KEY))


def _pixels(
    path: Path, series: tifffile.TiffPageSeries, pages: Sequence[Page]
) -> tuple[NDArray[Any], str]:
    """The pixels of these pages of a series, with a letter for each axis."""
    if series.kind not in _LOOSE or len(pages) == len(series.pages):
        if (
            series.nbytes > contents.LARGE
            and "S" not in series.axes
            and series.dataoffset is not None
        ):
            return _stored(path, series), series.axes
        try:
            return np.asarray(series.asarray()), series.axes
        except (ValueError, ImportError) as error:
            if not lacks_codec(error):
                raise
    each = [decode(path, page) for page in pages]
    if series.kind not in _LOOSE:
        return np.stack(each).reshape(series.shape), series.axes
    axes = pages[0].aspage().axes
    return (each[0], axes) if len(each) == 1 else (np.stack(each), f"I{axes}")


def _stored(path: Path, series: tifffile.TiffPageSeries) -> Any:
    """Pixels that lie in the file one after the other, read when they are used."""
    from dask import array

    byteorder = series.keyframe.parent.byteorder
    pixels: Any = np.memmap(
        path,
        np.dtype(series.dtype).newbyteorder(byteorder),
        mode="r",
        offset=series.dataoffset or 0,
        shape=tuple(series.shape),
    )
    chunks = (*[1] * (series.ndim - 2), *series.shape[-2:])
    return array.from_array(pixels, chunks, name=False)  # type: ignore[no-untyped-call]


def _without_samples(
    data: NDArray[Any], axes: str, page: tifffile.TiffPage
) -> tuple[NDArray[Any], str, str]:
    """Grey values in the order (..., Y, X); samples that are no colours become channels."""
    note = ""
    if "S" in axes:
        samples = np.moveaxis(data, axes.index("S"), -1)
        axes = axes.replace("S", "")
        grey = bool((samples == samples[..., :1]).all())
        if grey or _is_coloured(page) or _has_alpha(page, samples.shape[-1]):
            data = luminance(samples)
        else:
            data = np.moveaxis(samples, -1, 0)
            axes = f"C{axes}"
            note = f"The {len(data)} values of each pixel are no colours: they are channels."
    order = [letter for letter in axes if letter not in "YX"] + ["Y", "X"]
    return np.transpose(data, [axes.index(letter) for letter in order]), "".join(order), note


def _is_coloured(page: tifffile.TiffPage) -> bool:
    """Whether samples are colours; planes of their own, which differ, are those of detectors."""
    colours = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    return page.photometric in colours and page.planarconfig == tifffile.PLANARCONFIG.CONTIG


def _has_alpha(page: tifffile.TiffPage, count: int) -> bool:
    return count == 2 and len(page.extrasamples) == 1 and page.extrasamples[0] in _ALPHA


def _axis_names(axes: str, steps: Mapping[str, Scale]) -> list[str]:
    """Names of the axes; T without an interval is only the order of frames."""
    known = _NAMES | ({} if "T" in steps else {"T": "frame"})
    leading = axes[:-2]
    if leading == "Q":
        return ["frame", "y", "x"]
    names = [known.get(letter, f"axis {number}") for number, letter in enumerate(leading)]
    unique = [n if names.count(n) == 1 else f"axis {number}" for number, n in enumerate(names)]
    return [*unique, "y", "x"]


def _titles(data: NDArray[Any], pages: Sequence[Page]) -> list[str]:
    """Names in the tags of pages that each have one image of a stack."""
    return [page_title(page.aspage()) for page in pages] if len(pages) == len(data) else []


def _detectors(data: NDArray[Any], pages: Sequence[Page], names: Sequence[str]) -> str:
    """A note on why the images of a stack are those of detectors; empty if they are frames."""
    times: list[str] = []
    if len(pages) == len(data):
        tags = [page.aspage().tags for page in pages]
        times = [str(each.valueof("DateTime", default="")) for each in tags]
    reason = are_detectors(data, names, times)
    return f"The {len(data)} pages {reason}: they are channels, not frames." if reason else ""


def _imagej_steps(metadata: Mapping[str, Any]) -> tuple[dict[str, Scale], tuple[str, ...]]:
    """Steps of frames and slices, and a label for each image, as ImageJ writes them."""
    steps: dict[str, Scale] = {}
    if metadata.get("finterval"):
        steps["T"] = float(metadata["finterval"]), "s"
    if metadata.get("spacing"):
        steps["Z"] = float(metadata["spacing"]), str(metadata.get("unit", ""))
    return steps, tuple(map(str, metadata.get("Labels") or ()))


def _own_record(page: tifffile.TiffPage) -> dict[str, Any]:
    """Provenance and layout that this package wrote into the description."""
    record: dict[str, Any] = {}
    if page.is_imagej:
        metadata = tifffile.tifffile.imagej_description_metadata(page.description)
        for key in (PROVENANCE, KEY):
            try:
                record[key] = read_json(metadata.get(key, ""))
            except (TypeError, ValueError):
                continue
    return record


def _noted(image: MicroscopeImage, notes: Sequence[str]) -> MicroscopeImage:
    if not notes:
        return image
    return replace(image, metadata={**image.metadata, "notes": [*image.notes, *notes]})


def _previews(images: list[MicroscopeImage], colours: Sequence[bool]) -> list[MicroscopeImage]:
    """Mark the images that only show another one: in colours, in fewer bits, or smaller."""
    pictures = {n for n, image in enumerate(images) if image.kind == "preview"}
    grey = [n for n, image in enumerate(images) if image.kind == "image" and not colours[n]]
    if grey:
        pictures |= {n for n, coloured in enumerate(colours) if coloured}
    for first, second in combinations(grey, 2):
        for one, other in ((first, second), (second, first)):
            small, raw = images[one].data, images[other].data
            if small.ndim == raw.ndim == 2 and is_picture_of(small, raw):
                pictures.add(one)
    if len(pictures) == len(images):
        pictures.clear()
    return [
        replace(image, kind="preview")
        if n in pictures
        else replace(image, kind="image")
        if image.kind == "preview"
        else image
        for n, image in enumerate(images)
    ]
