"""What a result was made from, for its record: the file, a hash of the values, the record before.

A result's record holds those of its inputs, so that the chain from the image file on is in every
result, whatever becomes of the layers and files between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import digest, plain
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io.images.image import MicroscopeImage

INPUT = "input"
"""Key of an image's metadata for what `image_input` said of it when it was read."""
THEN_MEASURED = "measurements"
"""Key of the record of columns for those of what was measured of them since, in order."""


def image_input(
    data: Any,
    name: str,
    *,
    file: str | Path | None = None,
    dataset: int | str | None = None,
    frame: int | None = None,
    sampling: Sampling | None = None,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe an image that something is made of, in values that JSON can hold.

    Parameters
    ----------
    data : (..., H, W); of lazy data, one image is computed.
    name : of the layer or the file.
    file, dataset, frame : where it was read from, see `read_image`.
    sampling : Å per pixel that the file states.
    record : provenance of the image itself.
    """
    place = {} if file is None else _place(Path(file), dataset, frame, sampling)
    return {
        "name": name,
        **place,
        "shape": list(map(int, data.shape)),
        "sha256": digest(data),
        "record": plain(record or {}),
    }


def with_input(
    image: MicroscopeImage,
    path: str | Path,
    dataset: int | str | None = None,
    frame: int | None = None,
) -> MicroscopeImage:
    """Return an image that was read from a file with its description in ``metadata["input"]``."""
    described = image_input(
        image.data,
        image.name,
        file=path,
        dataset=dataset,
        frame=frame,
        sampling=image.sampling,
        record=image.metadata.get("provenance"),
    )
    return replace(image, metadata={**image.metadata, INPUT: described})


def columns_input(
    columns: pd.DataFrame, name: str, *, file: str | Path | None = None, edited: str = ""
) -> dict[str, Any]:
    """Describe a table of columns that something is made of, as `image_input` does an image.

    Parameters
    ----------
    columns : table with `y` and `x` (px), whose ``attrs`` are its record.
    edited : what was changed by hand since it was made, in words.
    """
    record = {name: value for name, value in columns.attrs.items() if name != "placement"}
    return {
        "name": name,
        **({} if file is None else _place(Path(file))),
        "shape": [len(columns)],
        "sha256": digest(positions(columns)),
        **({"edited": edited} if edited else {}),
        "record": plain(record),
    }


def positions(columns: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(N, 2) y and x in pixels, or (N, 3) with the frame first, by which tables are compared."""
    names = ["frame", "y", "x"] if "frame" in columns else ["y", "x"]
    return columns[names].to_numpy(dtype=np.float64)


def table_digest(columns: pd.DataFrame) -> str:
    """SHA-256 of the names and values of a table."""
    known = hashlib.sha256()
    for name in columns:
        values = columns[name]
        if values.dtype.kind not in "iufb":
            values = values.astype(str)
        known.update(f"{name} {values.dtype}".encode())
        known.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return known.hexdigest()


def _place(
    path: Path,
    dataset: int | str | None = None,
    frame: int | None = None,
    sampling: Sampling | None = None,
) -> dict[str, Any]:
    known = {"dataset": dataset, "frame": frame}
    chosen = {name: value for name, value in known.items() if value not in (None, "")}
    return {"file": str(path.absolute()), **chosen, "sampling": plain(sampling)}
