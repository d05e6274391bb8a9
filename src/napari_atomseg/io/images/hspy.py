"""HDF5 in the layout of HyperSpy, written without HyperSpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_atomseg._shared.files import package_version, plain, whole_file
from napari_atomseg.io.images.image import MicroscopeImage, Scale
from napari_atomseg.io.images.layout import KEY, PROVENANCE, describe

FORMAT_VERSION = "3.3"
"""Version of HyperSpy's layout, which does not change with the package."""

UNNAMED = "__unnamed__"
"""HyperSpy's name for a data set without a title."""


def write_hspy(path: Path, image: MicroscopeImage) -> None:
    """Write an image or stack as HyperSpy does, with axes, scales, title and provenance.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    data = np.asarray(image.data)
    data = data.astype(np.uint8) if data.dtype.kind == "b" else data
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = FORMAT_VERSION
        experiment = file.create_group(f"Experiments/{image.title.replace('/', '-') or UNNAMED}")
        experiment.attrs["package"] = KEY
        experiment.attrs["package_version"] = package_version()
        experiment.create_dataset("data", data=data, compression="gzip", shuffle=True)
        for number, (axis, scale) in enumerate(zip(image.axes, image.scales, strict=True)):
            group = experiment.create_group(f"axis-{number}")
            group.attrs.update(_axis(number, axis, scale, data.shape))
        general = experiment.create_group("metadata/General")
        general.attrs["title"] = image.title
        general.attrs["original_filename"] = path.name
        experiment.create_group("metadata/Signal").attrs["signal_type"] = ""
        experiment.create_group("learning_results")
        further = experiment.create_group("original_metadata")
        further.attrs[KEY] = json.dumps(describe(image))
        if image.metadata.get(PROVENANCE):
            further.attrs[PROVENANCE] = json.dumps(plain(image.metadata[PROVENANCE]))


def _axis(number: int, name: str, scale: Scale, shape: tuple[int, ...]) -> dict[str, Any]:
    """The attributes of an axis; HyperSpy has 1 and "" where scale and unit are unknown."""
    step, unit = scale
    return {
        "_type": "UniformDataAxis",
        "name": name,
        "scale": 1.0 if step is None else float(step),
        "offset": 0.0,
        "size": shape[number],
        "units": "" if step is None or unit is None else unit,
        "navigate": number < len(shape) - 2,
        "index_in_array": number,
        "is_binned": False,
    }
