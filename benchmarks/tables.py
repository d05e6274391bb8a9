"""Tables in Markdown, whole ones and those that grow line by line."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

AS_THEY_ARE = ("dose", "dB")
"""Columns of round numbers, whose digits are not padded."""


def show(table: pd.DataFrame, title: str = "", digits: int = 3) -> None:
    """Print a table under its title, without the columns that hold no value.

    Parameters
    ----------
    digits : behind the point of numbers that are not whole by their type.
    """
    if title:
        print(f"{title}\n")
    shown = table.dropna(axis=1, how="all")
    names = [str(name) for name in shown.columns]
    begin(names)
    for values in shown.itertuples(index=False):
        line(cell(name, value, digits) for name, value in zip(names, values, strict=True))
    print(flush=True)


def begin(names: Iterable[str]) -> None:
    """Print the heading of a table."""
    names = list(names)
    line(names)
    line(["---"] * len(names))


def line(cells: Iterable[str]) -> None:
    """Print a line of a table at once, so that slow figures are seen as they are made."""
    print(f"| {' | '.join(cells)} |", flush=True)


def cell(name: str, value: object, digits: int) -> str:
    """A number with so many digits; nothing for what is not known."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:g}" if name in AS_THEY_ARE else f"{value:.{digits}f}"
