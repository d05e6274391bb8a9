"""The layout of a library: what is stored for a sample, and under which names.

A library is a folder. Its samples lie in the folders of TEM ImageNet v1.3 (Lin et al. 2021,
github.com/xinhuolin/TEM-ImageNet-v1.3), or in one Zarr store; `library.json` says how they were
made, `index.csv` lists them, `SHA256SUMS` proves them. Both ways hold the same `Parts`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from napari_atomseg._shared.plain_json import read_json
from napari_atomseg._shared.types import Image
from napari_atomseg.ranges import Part

if TYPE_CHECKING:
    from napari_atomseg.simulation import Simulation

Layout = Literal["folders", "zarr"]

HEADER, INDEX, SUMS = "library.json", "index.csv", "SHA256SUMS"
BLOCK = 32
"""Samples that are made, stored and resumed as one; a shard of the Zarr store."""

PICTURES = {
    "image": "image",
    "circular_mask": "circularMask",
    "small_circular_mask": "smallcircularMask",
    "gaussian_mask": "gaussianMask",
    "no_noise": "noNoise",
    "no_background_no_noise": "noBackgroundnoNoise",
    "no_noise_no_background_superresolution": "noNoiseNoBackgroundSuperresolution",
    "no_noise_upinterpolation_2x": "noNoiseUpinterpolation2x",
    "no_noise_no_background_upinterpolation_2x": "noNoiseNoBackgroundUpinterpolation2x",
}
"""Folders of the public library that hold pictures, by our names of the targets."""

TABLES = {
    "position": "position",
    "position_radius": "positionRadius",
    "radius": "radius",
    "small_radius": "smallradius",
    "params": "params",
}
"""Folders of the public library that hold text. `position` has "row col" a line, counted from 1."""
SETTINGS = "settings"
"""Folder of all settings of a sample as JSON, which the public library has not."""

COLUMNS = "columns"
"""Folder of full tables of columns, which the public library has not."""
MAPS = "element_maps"
MAPS_FOLDER = "elementMaps"
"""Folder of one map a species, which the public library has not."""

_TABLE_COLUMNS = {"position": ["y", "x"], "position_radius": ["y", "x", "radius"]}
POSITIONS = tuple(_TABLE_COLUMNS)
"""Tables whose rows begin with the row and the column of a place."""
_WORDS = ("elements", "composition")
"""Columns of a table of columns that hold no numbers."""
_LEVELS = "levels"
"""Key of `params` for the intensities that black and white stand for, by picture."""


class LibraryError(OSError):
    """A library that cannot be read; the message names the file or folder and says why."""


class Header(Part):
    """How a library was made; the same header gives the same bytes."""

    schema_version: Literal[1] = 1
    version: str
    """Version of this package that began it; another release may draw other numbers."""
    layout: Layout
    recipe: dict[str, Any]
    seed: int
    shape: tuple[int, int]
    start: int
    count: int

    @classmethod
    def of(cls, path: Path) -> Header:
        """The header in a file; raises LibraryError where there is none in it."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise LibraryError(f"{path}: not the header of a library") from error


@dataclass(frozen=True)
class LibrarySample:
    """One sample of a library, like a `Simulation`.

    Attributes
    ----------
    name : name of the sample in its library.
    image : (H, W) float32, distorted.
    targets : ground truth by name as `simulate` gives it; what a library lacks is not there.
    columns : table with y and x in pixels and whatever else the library knows.
    sampling : Å a pixel, None where the library does not say.
    settings : settings and facts of the simulation. Of the public library: field_of_view (Å),
        energy (eV), semiangle (mrad), source_size (Å) and all numbers of its file as `params`.
    """

    name: str
    image: Image
    targets: dict[str, Any]
    columns: pd.DataFrame
    sampling: float | None
    settings: dict[str, Any]

    @property
    def ideal(self) -> Image | None:
        """(H, W) float32 without noise, None where the library has none."""
        return self.targets.get("no_noise")


@dataclass(frozen=True)
class Parts:
    """One sample as it is stored: pictures, maps (E, H, W) of species, and texts."""

    name: str
    pictures: dict[str, Image]
    maps: Image | None
    texts: dict[str, str]


def sample_name(index: int) -> str:
    """Name of sample number `index` of a recipe."""
    return f"{index:05d}"


def take_apart(simulation: Simulation, index: int) -> Parts:
    """The stored parts of a simulation."""
    pictures = {"image": np.asarray(simulation.image, np.float32)}
    pictures |= {
        name: np.asarray(simulation.targets[name], np.float32)
        for name in PICTURES
        if name in simulation.targets
    }
    maps = simulation.targets.get(MAPS)
    texts = {
        name: _lines(simulation.targets[name]) for name in TABLES if name in simulation.targets
    }
    texts["params"] = json.dumps(
        {**simulation.settings, **simulation.facts, "sampling": simulation.sampling},
        default=_plain,
        ensure_ascii=False,
    )
    texts[COLUMNS] = simulation.columns.to_csv(index=False, lineterminator="\n")
    return Parts(
        name=sample_name(index),
        pictures=pictures,
        maps=None if maps is None else np.asarray(maps, np.float32),
        texts=texts,
    )


def put_together(parts: Parts) -> LibrarySample:
    """The sample that was stored, of our libraries and of public ones."""
    settings = read_params(parts.texts.get("params", ""))
    image = parts.pictures["image"]
    sampling = settings.get("sampling")
    if sampling is None and "field_of_view" in settings:
        sampling = settings["field_of_view"] / image.shape[1]
    targets: dict[str, Any] = {k: v for k, v in parts.pictures.items() if k != "image"}
    if parts.maps is not None:
        targets[MAPS] = parts.maps
    for name, text in parts.texts.items():
        if name not in ("params", COLUMNS):
            targets[name] = _parse_lines(name, text)
    settings.pop(_LEVELS, None)
    return LibrarySample(
        name=parts.name,
        image=image,
        targets=targets,
        columns=_columns(parts.texts, targets, sampling),
        sampling=sampling,
        settings=settings,
    )


def index_row(simulation: Simulation, index: int, seed: int) -> dict[str, Any]:
    """The line of the index that finds a simulation."""
    facts = simulation.facts
    axis = facts["zone_axis"]
    return {
        "name": sample_name(index),
        "index": index,
        "seed": seed,
        "material": facts["material"],
        "zone_axis": " ".join(f"{each:g}" for each in axis) if any(axis) else "",
        "field_of_view": simulation.sampling * simulation.image.shape[1],
        "sampling": simulation.sampling,
        "energy": facts["energy"],
        "dose": facts["counts"],
        "psnr": simulation.psnr,
        "snr": simulation.snr,
        "columns": len(simulation.columns),
    }


_NUMBERS = 13
"""Numbers in a file of `params` of the public library."""
_KNOWN = {"field_of_view": (0, 1.0), "energy": (5, 1e3), "semiangle": (7, 1.0)}
_SOURCE_SIZE = 8


def read_params(text: str) -> dict[str, Any]:
    """Settings of a sample from its `params`: JSON, or the numbers of the public library.

    The public files hold thirteen numbers, of which the 1st, 6th, 8th and 9th are the field of view
    (Å), the energy (keV), the semi-angle (mrad) and the source size (Å) of Lin et al., Table 1: the
    positions and the radii of the masks in the library follow from them. Zero in the place of one
    of the first three says that it is not known.
    """
    if is_json(text):
        settings: dict[str, Any] = read_json(text)
        return settings
    numbers = [float(word) for word in text.split()]
    if len(numbers) <= _SOURCE_SIZE:
        return {"params": numbers} if numbers else {}
    known = {
        name: unit * numbers[place] for name, (place, unit) in _KNOWN.items() if numbers[place] > 0
    }
    return {**known, "source_size": numbers[_SOURCE_SIZE], "params": numbers}


def public_params(settings: Mapping[str, Any]) -> str:
    """The `params` of a sample as the public library writes them, from all its settings.

    A number a line, see `read_params`. What the other numbers are is not published: they are zero.
    """
    numbers = [0.0] * _NUMBERS
    for name, (place, unit) in _KNOWN.items():
        numbers[place] = float(settings.get(name) or 0.0) / unit
    numbers[_SOURCE_SIZE] = float(settings.get("source_size") or 0.0)
    return "".join(f"{number:.17g}\n" for number in numbers)


def is_json(params: str) -> bool:
    """Whether settings are those of a library that was written here."""
    return params.lstrip().startswith("{")


def counted_from(text: str, change: int) -> str:
    """Positions with their row and column counted from another number, exactly.

    Parameters
    ----------
    text : "row col" a line, which further numbers may follow.
    change : what is added to both.

    Raises
    ------
    ValueError
        They are no numbers.
    """
    lines = []
    for line in text.splitlines():
        words = line.split()
        try:
            moved = [_moved(word, change) for word in words[:2]]
        except InvalidOperation as error:
            raise ValueError(f"{line.strip()!r} is no position") from error
        lines.append(" ".join([*moved, *words[2:]]) + "\n")
    return "".join(lines)


@lru_cache(maxsize=10_000)
def _moved(word: str, change: int) -> str:
    # The same positions stand in several files of a sample.
    whole, point, digits = word.partition(".")
    if whole.isdecimal() and digits.isdecimal() and int(whole) + change >= 0:
        return f"{int(whole) + change}{point}{digits}"
    return str(Decimal(word) + change)


def with_levels(parts: Parts, levels: Mapping[str, tuple[float, float]]) -> Parts:
    """The parts with the black and white of their pictures in `params`."""
    params = json.dumps(json.loads(parts.texts["params"]) | {_LEVELS: levels}, ensure_ascii=False)
    return Parts(parts.name, parts.pictures, parts.maps, parts.texts | {"params": params})


def levels_of(params: str) -> dict[str, tuple[float, float]]:
    """Black and white of the pictures; empty for the public library."""
    found: dict[str, tuple[float, float]] = read_params(params).get(_LEVELS, {})
    return found


def _lines(value: Any) -> str:
    """A number, a list or a table as text that gives back every number exactly."""
    rows = np.asarray(value, dtype=float)
    rows = rows.reshape(-1, 1) if rows.ndim < 2 else rows
    return "".join(" ".join(map(repr, row)) + "\n" for row in rows.tolist())


def _parse_lines(name: str, text: str) -> Any:
    numbers = np.array(text.split(), dtype=float)
    if name in _TABLE_COLUMNS:
        names = _TABLE_COLUMNS[name]
        return pd.DataFrame(numbers.reshape(-1, len(names)), columns=names)
    return float(numbers[0]) if numbers.size == 1 else numbers


def _columns(
    texts: Mapping[str, str], targets: Mapping[str, Any], sampling: float | None
) -> pd.DataFrame:
    if COLUMNS in texts:
        return _parse_columns(texts[COLUMNS])
    table = targets.get("position_radius", targets.get("position"))
    table = pd.DataFrame({"y": [], "x": []}, dtype=float) if table is None else table.copy()
    if sampling is not None:
        table = table.assign(y_angstrom=table["y"] * sampling, x_angstrom=table["x"] * sampling)
    return table


def _parse_columns(text: str) -> pd.DataFrame:
    table = pd.read_csv(
        io.StringIO(text),
        engine="python",  # parses numbers exactly in every version
        keep_default_na=False,
        na_values=[""],
    )
    if table.empty:  # an empty table has no types
        table = table.astype({name: float for name in table if name not in _WORDS})
    return table


def _plain(value: Any) -> Any:
    """Return a value that JSON cannot write as one that it can."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
