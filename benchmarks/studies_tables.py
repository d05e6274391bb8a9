"""The tables of the three studies in Markdown."""

from __future__ import annotations

import math

import pandas as pd

SUMMARY = {
    "dose": "dose",
    "method": "method",
    "fitted": "fitted, %",
    "precision": "precision, pm",
    "bias": "bias, pm",
    "rmse": "RMSE, pm",
    "precision/bound": "precision / bound",
    "rmse/bound": "RMSE / bound",
    "section precision": "σ precision, %",
    "section bias": "σ bias, %",
    "section precision/bound": "σ precision / bound",
}
"""The scores that all studies share, and their headings; σ is the cross-section."""


def print_summary(table: pd.DataFrame) -> None:
    """The scores that all studies share."""
    print_markdown(table[list(SUMMARY)].rename(columns=SUMMARY), 2)


def print_markdown(table: pd.DataFrame, digits: int) -> None:
    """A table whose numbers have so many digits."""
    names = [str(name) for name in table.columns]
    print(f"| {' | '.join(names)} |")
    print("|" + "---|" * len(names))
    for values in table.itertuples(index=False):
        row = [cell(name, value, digits) for name, value in zip(names, values, strict=True)]
        print(f"| {' | '.join(row)} |")


def cell(name: str, value: object, digits: int) -> str:
    """A number with so many digits, doses as they are; nothing for what is not known."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:g}" if name == "dose" else f"{value:.{digits}f}"
