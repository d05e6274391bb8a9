"""Text tables as programs write them: encoding, separator, decimal mark, titles and units."""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.units import dimension
from napari_atomseg.io.columns.table import column_file_error

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLANK = " "
"""Stands for runs of blanks and tabs as separator."""
_DIALECTS = [(separator, mark) for separator in ("\t", ";", "|", ",", _BLANK) for mark in ".,"]
"""Separators and decimal marks; where two fit as well, the first."""
_COMMENT = re.compile(r'\s*"?(?:#|%|//|!)\s*')
_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE
)
_NAN = ("nan", "+nan", "-nan")
_MISSING = (*_NAN, "na", "n/a", "#n/a", "#nv", "#value!", "#wert!", "#div/0!", "null", "none", "-",
            "--", "?")  # fmt: skip
"""Words for a missing number, in lower case."""
_TRUTH = {"true": True, "false": False}
_SAMPLE = 1000
"""Lines from which separator and decimal mark are recognized."""

Recognize = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Sheet:
    """A text table, its numbers not yet given a meaning.

    Attributes
    ----------
    names : of the columns, unique; "0", "1", … where the file has none.
    units : of each column, from a line of units below the names; "" where there is none.
    cells : the text of each column, without blanks about it.
    lines : number of each row's line in the file, from 1.
    comments : lines that are marked as comments, without their mark.
    titled : whether the names stand in the file.
    decimal : decimal mark.
    """

    names: list[str]
    units: list[str]
    cells: list[list[str]]
    lines: list[int]
    comments: list[str]
    titled: bool
    decimal: str

    def values(self, column: int) -> Any:
        """Numbers of a column, NaN where missing; or truth values, or text, None where empty."""
        cells = self.cells[column]
        if cells and all(cell.lower() in _TRUTH for cell in cells):
            return np.array([_TRUTH[cell.lower()] for cell in cells])
        plain = _plain_numbers(cells, self.decimal)
        if plain is not None:
            return plain
        found = [number(cell, self.decimal) for cell in cells]
        left = [c.lower() for c, value in zip(cells, found, strict=True) if value is None]
        numeric = len(left) < len(cells) or all(cell in ("", *_NAN) for cell in left)
        if not numeric or not all(map(is_missing, left)):
            return [cell or None for cell in cells]
        return np.array([math.nan if v is None else v for v in found], dtype=np.float64)

    def strange(self, column: int) -> str:
        """The first cell of a column that is no number, with its line."""
        for line, cell in zip(self.lines, self.cells[column], strict=True):
            if number(cell, self.decimal) is None and not is_missing(cell):
                return f"{cell!r} in line {line}"
        return "nothing"


def _plain_numbers(cells: list[str], decimal: str) -> NDArray[Any] | None:
    """Numbers of cells that Python reads at once, whole ones as int64; None for others."""
    signs = set("".join(cells))
    if "_" in signs or (decimal == "," and "." in signs) or not all(cells):
        return None
    try:
        if signs <= set("0123456789+-"):
            whole = [int(cell) for cell in cells]
            if all(-(2**63) <= each < 2**63 for each in whole):
                return np.array(whole, dtype=np.int64)
        point = decimal == "," and "," in signs
        return np.array([float(c.replace(",", ".") if point else c) for c in cells], np.float64)
    except ValueError:
        return None


def decode(path: Path) -> str:
    """Text of a file in UTF-8, UTF-16 or UTF-32, or else in Latin 1 as Windows writes it.

    Raises
    ------
    OSError
        The file is not text; the message names it.
    """
    raw = path.read_bytes()
    try:
        for mark, encoding in _MARKS:
            if raw.startswith(mark):
                return raw[len(mark) :].decode(encoding)
        if b"\0" in raw:
            # UTF-16 without its mark: of two bytes, that of most characters is zero.
            zeros = [raw[start::2].count(0) / max(1, len(raw) // 2) for start in (0, 1)]
            if max(zeros) < 0.8 or min(zeros) > 0.2:
                raise column_file_error(path, "not a table of text, but binary")
            return raw.decode("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le")
    except UnicodeDecodeError as error:
        raise column_file_error(path, f"damaged text ({error})") from error
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def number(cell: str, decimal: str) -> float | None:
    """Number in a cell; None for any other text. A thousands separator makes it no number."""
    cell = cell.strip().replace("\u2212", "-")
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    return float(cell.lower().replace("d", "e")) if _NUMBER.fullmatch(cell) else None


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a number that is missing."""
    return cell.strip().lower() in ("", *_MISSING)


def read_sheet(path: Path, text: str, recognize: Recognize) -> Sheet:
    """Find the table in a text: whatever stands above its names is left out.

    Parameters
    ----------
    recognize : whether names are those of a table of positions. The line of names is the first
        one that is recognized, or else the one above the first row of numbers.

    Raises
    ------
    OSError
        There is no table, or a row has another number of fields; the message names the line.
    """
    lines = re.split(r"\r\n|\n|\r", text)
    comments = [n for n, line in enumerate(lines) if _COMMENT.match(line)]
    said = [_uncommented(lines[n]).strip() for n in comments]
    body = [n for n, line in enumerate(lines) if line.strip() and not _COMMENT.match(line)]
    sample = body[:_SAMPLE]
    separator, decimal = max(_DIALECTS, key=lambda each: _fit([lines[n] for n in sample], *each))
    numeric = [n for n in sample if _is_row(_fields(lines[n], separator), decimal)]
    widths = Counter(_width(lines[n], separator) for n in numeric)
    width = max(widths, key=widths.__getitem__, default=0)
    above = sorted({*sample, *comments})
    place, titles, other = _recognized(lines, above, separator, width, recognize)
    separator = separator if width else other
    first = next((n for n in numeric if n > place and _width(lines[n], separator) == width), None)
    if titles:
        width = width if first is not None else len(titles)
        between = [n for n in above if place < n and (first is None or n < first)]
        units, row = _between(lines, between, separator, recognize)
        # A row without numbers is a row all the same.
        first = row if row is not None else first
    elif first is None:
        raise column_file_error(path, "not a table of columns: no line of it has two numbers")
    else:
        units = []
        place, titles, first = _beside(lines, above, first, separator, width, decimal)
    if first is None:
        left = [n for n in body if n > place]
        # One letter may be a unit by chance; positions have two lengths.
        if left and sum(dimension(unit) in ("length", "pixel") for unit in units) < 2:
            raise column_file_error(
                path, f"line {left[0] + 1}: no numbers below the names {', '.join(titles)}"
            )
        names = _unique(titles)
        return Sheet(names, [""] * len(names), [[] for _ in names], [], said, True, decimal)
    rows, numbers = _rows(lines, [n for n in body if n >= first], separator)
    names, units = _fitted(path, titles, units, rows, width)
    _check_widths(path, rows, numbers, width)
    cells = [[row[i].strip() for row in rows] for i in range(width)]
    kept = [i for i in range(width) if names[i] or any(cells[i])]
    unique = _unique([names[i] for i in kept])
    return Sheet(
        unique if titles else [str(i) for i in range(len(kept))],
        [units[i] for i in kept],
        [cells[i] for i in kept],
        numbers,
        said,
        bool(titles),
        decimal,
    )


def _fields(line: str, separator: str) -> list[str]:
    """Cells of one line, without quotes."""
    if separator == _BLANK:
        return [field.strip('"') for field in line.split()]
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _width(line: str, separator: str) -> int:
    return len(_fields(line, separator))


def _is_row(fields: Sequence[str], decimal: str) -> bool:
    """Whether a line holds two numbers, of which one may be missing."""
    known = sum(number(field, decimal) is not None for field in fields)
    words = sum(field.strip().lower() in _NAN for field in fields)
    empty = sum(not field.strip() for field in fields)
    return known + words >= 1 and known + words + empty >= 2 and len(fields) >= 2


def _fit(lines: Sequence[str], separator: str, decimal: str) -> float:
    """How many lines are rows of one width, times the part of their cells that are numbers."""
    widths: Counter[int] = Counter()
    shares: dict[int, float] = {}
    for line in lines:
        fields = _fields(line, separator)
        if _is_row(fields, decimal):
            widths[len(fields)] += 1
            good = sum(number(f, decimal) is not None or is_missing(f) for f in fields)
            shares[len(fields)] = shares.get(len(fields), 0.0) + good / len(fields)
    return max(shares.values(), default=0.0)


def _recognized(
    lines: Sequence[str],
    above: Sequence[int],
    separator: str,
    width: int,
    recognize: Recognize,
) -> tuple[int, list[str], str]:
    """Line of names, the names, their separator; -1 and none where no line has those wanted."""
    others = []
    for n in above:
        for way, names in _ways(_uncommented(lines[n]), separator):
            if not recognize(names):
                continue
            if not width or len(_trimmed(names)) in (width - 1, width):
                return n, names, way
            if not _COMMENT.match(lines[n]):  # a comment may be a sentence on x and y
                others.append((n, names, way))
    return others[0] if others else (-1, [], separator)


def _uncommented(line: str) -> str:
    """A line without its mark of a comment, and without what spreadsheets put about it."""
    found = _COMMENT.match(line)
    if found is None:
        return line
    rest = line[found.end() :].rstrip(",;\t ")
    return rest.removesuffix('"') if '"' in found[0] else rest


def _trimmed(names: Sequence[str]) -> list[str]:
    """Names without empty ones at their end."""
    count = max((i + 1 for i, name in enumerate(names) if name), default=0)
    return list(names[:count])


def _ways(line: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Names of a line, split as the rows are and in all other ways, and their separator."""
    separators = [separator, *(each for each, mark in _DIALECTS if mark == ".")]
    for each in dict.fromkeys(separators):
        if each == _BLANK:
            # "x [nm]  y [nm]" has two names.
            yield each, re.findall(r"[^\s\[(]+(?:\s?[\[(][^\])]*[\])])?", line.replace('"', ""))
        yield each, [field.strip() for field in _fields(line, each)]


def _beside(
    lines: Sequence[str],
    above: Sequence[int],
    first: int,
    separator: str,
    width: int,
    decimal: str,
) -> tuple[int, list[str], int]:
    """Names that are not recognized: their line, themselves, and the first row below them."""
    fields = _fields(lines[first], separator)
    later = [n for n in above if n > first]
    counted = [str(i) for i in range(width - 1)]
    if later and fields[0].lower() in ("", "index") and fields[1:] == counted:
        # pandas numbers the columns of an array, and its rows.
        return first, ["index", *counted], later[0]
    before = [n for n in above if n < first][-1:]
    for n in before:
        for _, names in _ways(_uncommented(lines[n]), separator):
            if len(names) == width and all(number(name, decimal) is None for name in names):
                return n, names, first
    return -1, [], first


def _between(
    lines: Sequence[str], between: Sequence[int], separator: str, recognize: Recognize
) -> tuple[list[str], int | None]:
    """Units from a line of their own below the names, and the first line that is a row.

    Further lines of names (as of TrackMate), rules and comments are none.
    """
    units: list[str] = []
    for n in between:
        fields = [field.strip() for field in _fields(_uncommented(lines[n]), separator)]
        if _are_units(fields):
            units = units or [field.strip("()[]{} ") for field in fields]
        elif not (recognize(fields) or _COMMENT.match(lines[n]) or set(lines[n]) <= set("-=+| \t")):
            return units, n
    return units, None


def _are_units(fields: Sequence[str]) -> bool:
    """Whether all cells of a line are units, or in brackets."""
    said = [field for field in fields if field]
    known = [dimension(field.strip("()[]{} ")) for field in said]
    bracketed = all(re.fullmatch(r"[(\[{].*[)\]}]", field) for field in said)
    lengths = any(each in ("length", "pixel") for each in known)
    return bool(said) and (bracketed or (lengths and None not in known))


def _rows(
    lines: Sequence[str], body: Sequence[int], separator: str
) -> tuple[list[list[str]], list[int]]:
    """Cells of all rows, and the number of the line in which each begins, from 1."""
    if separator == _BLANK:
        return [_fields(lines[n], separator) for n in body], [n + 1 for n in body]
    reader = csv.reader((lines[n] + "\n" for n in body), delimiter=separator, skipinitialspace=True)
    rows, numbers, done = [], [], 0
    for row in reader:
        rows.append(row)
        numbers.append(body[done] + 1)
        done = reader.line_num
    return rows, numbers


def _fitted(
    path: Path, titles: list[str], units: list[str], rows: list[list[str]], width: int
) -> tuple[list[str], list[str]]:
    """Names and units for `width` columns."""
    titles = _trimmed(titles)
    if len(titles) == width - 1 and any(
        row[width - 1 :] and row[width - 1].strip() for row in rows
    ):
        # R numbers the rows, and gives their column no name.
        titles, units = ["", *titles], ["", *units] if len(units) < width else units
    if len(titles) > width:
        raise column_file_error(
            path,
            f"there are {len(titles)} names ({', '.join(titles)}), but {width} fields in a row",
        )
    if titles and len(titles) < width - 1:
        raise column_file_error(
            path,
            f"there are {width} fields in a row, but {len(titles)} names ({', '.join(titles)}); "
            "numbers with a decimal comma need another separator than the comma",
        )
    return [*titles, *[""] * width][:width], [*units, *[""] * width][:width]


def _check_widths(path: Path, rows: list[list[str]], numbers: list[int], width: int) -> None:
    """Leave out empty cells at the end of rows that are too long; others are an error."""
    for row, line in zip(rows, numbers, strict=True):
        while len(row) > width and not row[-1].strip():
            row.pop()
        if len(row) != width:
            raise column_file_error(
                path, f"line {line} has {len(row)} fields, and others {width}; correct or delete it"
            )


def _unique(names: Sequence[str]) -> list[str]:
    """Names, those that are repeated with a number."""
    result: list[str] = []
    for name in names:
        other, count = name, 0
        while other in result:
            count += 1
            other = f"{name}.{count}"
        result.append(other)
    return result
