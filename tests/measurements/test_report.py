"""Numbers in words: what is printed is the number that was measured, no more precise than it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.measurements import Report
from napari_atomseg.measurements.report import BRACKETS, concise, towards


def read(text: str) -> tuple[float, float]:
    """Value and error of the concise notation, as a reader takes them."""
    match = re.fullmatch(r"(-?\d+(?:\.(\d+))?)\(([\d.]+)\)", text)
    assert match is not None, text
    value, decimals, last = match.groups()
    step = 1.0 if "." in last else 10.0 ** -len(decimals or "")
    return float(value), float(last) * step


@given(
    st.floats(-1e4, 1e4),
    st.floats(1e-5, 1e4),
)
def test_concise_numbers_are_read_back_within_their_precision(value: float, error: float) -> None:
    now, its_error = read(concise(value, error))
    # Errors have one digit, from 20 to 99, or two, from 10 to 19.
    assert its_error == pytest.approx(error, rel=0.26)
    assert abs(now - value) <= 0.51 * its_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.905, 0.0021, "3.905(2) Å"),
        (3.905, 0.0014, "3.9050(14) Å"),
        (-23.44, 1.44, "-23.4(1.4) Å"),
        (1234.0, 23.0, "1230(20) Å"),
        (1234.0, 14.0, "1234(14) Å"),
        (2.0, 0.0996, "2.00(10) Å"),
        (1.0, float("nan"), "1 Å"),
        (3.90512, 0.0, "3.905 Å"),
        (243.0, 1e-9, "243 Å"),
        (0.96, 0.97, "1.0(1.0) Å"),
        (float("nan"), 1.0, "not known"),
    ],
)
def test_concise_notation(value: float, error: float, text: str) -> None:
    assert concise(value, error, "Å") == text


def test_directions_are_those_seen_with_y_down() -> None:
    assert towards(0.0, 2.0) == "towards the right (+x)"
    assert towards(0.0, -2.0) == "towards the left (-x)"
    assert towards(3.0, 0.1) == "towards the bottom (+y)"
    assert towards(-1.0, 1.0) == "towards the upper right"


def test_brackets_are_explained_where_there_are_any() -> None:
    assert Report(("a line",), headline="a = 3.905(2) Å").footnote == BRACKETS
    assert Report((), headline="12 rings (3 %)", basis="of 9 columns").footnote == "of 9 columns"
    assert Report(("a line",), headline="12 rings").summary == ("12 rings", "", "a line")
    assert Report(("a line",)).summary == ("a line",)
