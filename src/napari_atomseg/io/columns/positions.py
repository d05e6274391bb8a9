"""Which columns of a text table hold the positions, in which units, and of which frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_atomseg._shared.units import angstroms, dimension
from napari_atomseg.io.columns.table import column_file_error

_PAIRS = (
    ("y", "x"),
    ("row", "col"),
    ("row", "column"),
    ("rows", "cols"),
    ("rows", "columns"),
    ("r", "c"),
    ("i", "j"),
    ("yc", "xc"),
    ("y c", "x c"),
    ("ypos", "xpos"),
    ("y pos", "x pos"),
    ("pos y", "pos x"),
    ("y position", "x position"),
    ("position y", "position x"),
    ("y coordinate", "x coordinate"),
    ("y coord", "x coord"),
    ("ycoord", "xcoord"),
    ("coord y", "coord x"),
    ("y center", "x center"),
    ("y centre", "x centre"),
    ("center y", "center x"),
    ("centre y", "centre x"),
    ("ycenter", "xcenter"),
    ("ycentroid", "xcentroid"),
    ("y centroid", "x centroid"),
    ("centroid y", "centroid x"),
    ("centroid 0", "centroid 1"),
    ("y0", "x0"),
    ("y 0", "x 0"),
    ("ym", "xm"),
)
"""Names of rows and columns of the image in other programs, in lower case, single blanks for other
signs, without units; where a table has several pairs, the first."""

_LENGTHS = r"(?-i:A)|pm|nm|[uµμ]m|microns?|mic|ang|angstroms?|ångströms?|å|Å|px|pix|pxl|pixels?"
_BRACKETS = re.compile(r"\s*(.*?)\s*[\[({]([^\])}]*)[\])}]?\s*")
_SLASH = re.compile(r"\s*(.+?)\s*/\s*(\S+)\s*")
_ENDING = re.compile(rf"\s*(.+?)(?:,\s*|\s+in\s+|[\s_]+)({_LENGTHS})\s*", re.IGNORECASE)
_JOINED = re.compile(rf"\s*([xy])({_LENGTHS})\s*", re.IGNORECASE)
_WORDS = ("row", "rows", "col", "cols", "column", "columns", "horizontal", "vertical", "centre",
          "center", "centroid", "position", "image", "fast", "slow", "down", "right")  # fmt: skip
"""What brackets after a name may hold that is no unit."""

_TRACKMATE = {"track id", "quality", "spot id", "position t"}
"""Fields of TrackMate beside the positions."""
_FIJI = {"Area", "Mean", "StdDev", "Perim.", "BX", "BY", "XM", "YM", "Circ.", "Feret", "IntDen",
         "RawIntDen", "%Area", "AR", "Round", "Solidity", "Slice", "Ch", "Counter"}  # fmt: skip
"""Results of Fiji's (ImageJ's) measurements that other programs do not call so."""
_THUNDERSTORM = {"uncertainty", "uncertainty_xy", "sigma", "intensity", "bkgstd", "chi2"}
"""Fields of ThunderSTORM's localizations, beside frame, x and y."""


@dataclass(frozen=True)
class Positions:
    """Where a table has its positions.

    Attributes
    ----------
    names : of the columns with y and with x.
    units : of each, "px" or a length.
    stated : whether the file or the user gave the units.
    program : that wrote the table; empty where it is not known.
    frame : name of the column with the number of the image in a stack; empty for none.
    first : number of the first image.
    """

    names: tuple[str, str]
    units: tuple[str, str]
    stated: bool = True
    program: str = ""
    frame: str = ""
    first: int = 0


def split_unit(name: str) -> tuple[str, str | None]:
    """Split a name from its unit; None where it has none.

    Examples
    --------
    >>> split_unit("x [nm]"), split_unit("y_px"), split_unit("Row"), split_unit("x (mrad)")
    (('x', 'nm'), ('y', 'px'), ('Row', None), ('x', 'mrad'))
    """
    brackets = _BRACKETS.fullmatch(name)
    if brackets:
        text = brackets[2].strip()
        measured = dimension(text) is not None
        comment = len(text) > 12 or "based" in text.lower() or text.lower() in (*_WORDS, "")
        return brackets[1], text if measured or not comment else None
    slash = _SLASH.fullmatch(name)
    if slash and dimension(slash[2]) is not None:
        return slash[1], slash[2]
    for pattern in (_ENDING, _JOINED):
        found = pattern.fullmatch(name)
        if found:
            return found[1], found[2]
    return name.strip(), None


def has_positions(names: Sequence[str]) -> bool:
    """Whether the names of a table are those of positions, as `locate` finds them."""
    return bool(_napari_axes(names) or _pair(names, {}))


def locate(
    path: Path,
    names: Sequence[str],
    said: Mapping[str, str],
    axes: str | Sequence[str] | None = None,
    units: str | None = None,
) -> Positions:
    """Find the columns with y and x, and their units.

    Parameters
    ----------
    said : units that the file names elsewhere, by column.
    axes, units : as of `read_columns`; units that are given count in place of those of the file.

    Raises
    ------
    OSError
        It is not a table of positions; the message names the file and what it lacks.
    ValueError
        An argument is not accepted, or the file does not say in which unit the positions are.
    """
    if units is not None and _kind(units) is None:
        raise ValueError(f"units={units!r}; positions are in px or in a length, as Å, nm or pm")
    if {"shape-type", "vertex-index"} <= set(names):
        raise column_file_error(path, "outlines of a shapes layer of napari, not columns")
    found = _columns(path, names, said, axes)
    program, frame, first = _program(names, found)
    if units is not None:
        unit = "px" if _kind(units) == "px" else units
        return Positions(found, (unit, unit), True, program, frame, first)
    stated = [_stated(name, said) for name in found]
    for name, each in zip(found, stated, strict=True):
        if each is not None and _kind(each) is None:
            raise ValueError(
                f"{path}: column {name!r} is in {each!r}, which is no length; where that is wrong, "
                f"give {ASK_UNIT}"
            )
    if None in stated and stated != [None, None]:
        without, other = found if stated[0] is None else found[::-1]
        raise ValueError(
            f"{path}: column {other!r} has a unit and {without!r} has none; for both, give "
            f"{ASK_UNIT}"
        )
    if stated == [None, None] and program in ("Fiji", "TrackMate"):
        raise ValueError(
            f"{path}: {program} writes {found[1]} and {found[0]} in the unit of the image's "
            "calibration, in pixels where it has none, and this table does not say which; give "
            f"{ASK_UNIT}"
        )
    known = ["px" if unit is None or _kind(unit) == "px" else unit for unit in stated]
    sure = program == "napari" or None not in stated
    return Positions(found, (known[0], known[1]), sure, program, frame, first)


ASK_UNIT = (
    "the unit, 'px', 'nm', 'Å' or another length (units= in Python, --units of columns convert, or "
    "Text: unit in the Columns panel)"
)


def _kind(unit: str) -> str | None:
    """Either "px" or "length"; None for other units."""
    if angstroms(unit) is not None:
        return "length"
    return "px" if dimension(unit) == "pixel" else None


def _stated(name: str, said: Mapping[str, str]) -> str | None:
    """Unit of a column in its name, or else where the file has it elsewhere."""
    unit = split_unit(name)[1]
    return unit if unit is not None else said.get(name) or None


def _columns(
    path: Path,
    names: Sequence[str],
    said: Mapping[str, str],
    axes: str | Sequence[str] | None,
) -> tuple[str, str]:
    """Names of the columns that hold y and x."""
    if axes in ("yx", "xy"):
        known = _pair(names, said)
        order = sorted(names.index(name) for name in known) if known else _without_index(names)
        if len(order) < 2:
            raise column_file_error(path, "not a table of positions; it has one column")
        first, second = names[order[0]], names[order[1]]
        return (first, second) if axes == "yx" else (second, first)
    if axes is not None:
        if isinstance(axes, str) or len(axes) != 2:
            raise ValueError(f"axes={axes!r}; give 'yx', 'xy', or the names of the y and x columns")
        missing = [name for name in axes if name not in names]
        if missing:
            raise column_file_error(path, f"no column {missing[0]!r}; it has {', '.join(names)}")
        return axes[0], axes[1]
    found = _napari_axes(names)[-2:] or _pair(names, said)
    if found:
        return found[0], found[1]
    if all(name.isdigit() for name in names[1:]) and not _named(names[0]):
        raise column_file_error(
            path,
            "numbers without names; give the order of the first two columns, yx or xy (axes= in "
            "Python, --axes of columns convert, or Text: axes in the Columns panel)",
        )
    plain = [split_unit(name)[0].lower() for name in names]
    lacking = " and ".join(axis for axis in "yx" if axis not in plain)
    raise column_file_error(
        path,
        f"not a table of columns; it lacks {lacking}. It has {', '.join(names)}: where positions "
        "are among them, name those of y and x (axes= in Python, --axes of columns convert, or "
        "Text: axes in the Columns panel)",
    )


def _pair(names: Sequence[str], said: Mapping[str, str]) -> tuple[str, str] | tuple[()]:
    """Names of the y and x columns; none where one is missing.

    Of several columns with one name, those in pixels come first, then those without a unit.
    """
    plain: dict[str, list[str]] = {}
    for name in names:
        key = re.sub(r"[\s_.\-]+", " ", split_unit(name)[0]).strip().lower()
        plain.setdefault(key, []).append(name)
    for pair in _PAIRS:
        hits = [plain.get(axis, []) for axis in pair]
        if not all(hits):
            continue
        ranked = [sorted(each, key=lambda name: _rank(name, said)) for each in hits]
        for rank in range(3):
            same = [next((n for n in each if _rank(n, said) == rank), None) for each in ranked]
            if same[0] is not None and same[1] is not None:
                return same[0], same[1]
        return ranked[0][0], ranked[1][0]
    return ()


def _rank(name: str, said: Mapping[str, str]) -> int:
    unit = _stated(name, said)
    return 1 if unit is None else 0 if _kind(unit) == "px" else 2


def _napari_axes(names: Sequence[str]) -> tuple[str, ...]:
    """Axes of a points layer that napari saved, axis-0 to the last, in order."""
    axes = [name for name in names if re.fullmatch(r"axis-\d+", name)]
    complete = sorted(axes) == sorted(f"axis-{i}" for i in range(len(axes)))
    return tuple(f"axis-{i}" for i in range(len(axes))) if complete and len(axes) > 1 else ()


def _named(name: str) -> bool:
    return name.strip().lower() not in ("", "index", "id", "#", "no", "no.") and not name.isdigit()


def _without_index(names: Sequence[str]) -> list[int]:
    """Places of the columns, without a first one that only counts the rows."""
    return list(range(0 if names[0].isdigit() or _named(names[0]) else 1, len(names)))


def _program(names: Sequence[str], found: Sequence[str]) -> tuple[str, str, int]:
    """Program that wrote a table, its column of frames, and the number of the first frame."""
    axes = _napari_axes(names)
    if axes:
        return "napari", axes[0] if len(axes) == 3 else "", 0
    plain = {re.sub(r"[\s_.\-]+", " ", split_unit(name)[0]).strip().lower() for name in names}
    if {"position x", "position y"} <= plain and plain & _TRACKMATE:
        return "TrackMate", next((n for n in names if n.upper() == "FRAME"), ""), 0
    fields = [split_unit(name)[0] for name in names]
    in_units = any(split_unit(name)[1] for name in found)
    if in_units and {"frame", "x", "y"} <= set(fields) and set(fields) & _THUNDERSTORM:
        return "ThunderSTORM", names[fields.index("frame")], 1
    axes_of_fiji = [split_unit(name)[0] for name in found] in (["Y", "X"], ["YM", "XM"])
    if axes_of_fiji and (not names[0].strip() or _FIJI & set(names)):
        return "Fiji", next((name for name in ("Frame", "Slice") if name in names), ""), 1
    return "", "", 0
