"""Files of Velox: an image of each detector and map, with its own description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg.io.images.contents import Content, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.rosetta import rosetta_contents

_IMAGES = "Data/Image"
_SPECTRUM_IMAGE = (
    "The spectrum image of this file was left out, which can be larger than the memory."
)


def is_velox(file: h5py.File) -> bool:
    """Whether Velox wrote an HDF5 file, whatever its suffix."""
    return "Version" in file and _IMAGES in file


def read_velox(path: Path) -> list[MicroscopeImage]:
    """Every detector and map; spectrum images, which are streams of counts, are left out.

    Where the description of the file is not whole, images are read with what is there.
    """
    with h5py.File(path) as file:
        stream = "Data/SpectrumStream" in file
    options: dict[str, Any] = {"select_type": "images"} if stream else {}
    notes = [_SPECTRUM_IMAGE] if stream else []
    try:
        contents = rosetta_contents(path, "emd", **options)
    except ImageFileError:
        raise
    except Exception as error:  # RosettaSciIO raises any where the description lacks something
        notes.append(f"Its description is not whole ({type(error).__name__}: {error}).")
        with h5py.File(path) as file:
            contents = list(_images(file[_IMAGES]))
    return images_of(path, [{**each, "notes": notes} for each in contents])


def _images(group: h5py.Group) -> Iterator[Content]:
    """Images, whose last axis counts frames, with the name and scale of their description."""
    for name, each in group.items():
        if not isinstance(each, h5py.Group) or "Data" not in each:
            continue
        result = _description(each).get("BinaryResult", {})
        size, data = result.get("PixelSize", {}), each["Data"][()]
        yield {
            "data": np.moveaxis(data, -1, 0) if data.ndim == 3 else data,
            "axes": [
                *[{"name": "frame"}] * (data.ndim - 2),
                *(
                    {"scale": _number(size.get(side)), "units": result.get(f"PixelUnit{axis}")}
                    for side, axis in (("height", "Y"), ("width", "X"))
                ),
            ],
            "title": str(result.get("Detector") or name),
        }


def _description(group: h5py.Group) -> dict[str, Any]:
    """What is said of the first frame, as JSON that ends with a zero; empty where it is damaged."""
    try:
        text = np.asarray(group["Metadata"])[:, 0].tobytes().split(b"\0")[0]
        found = read_json(text)
    except (KeyError, IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
