"""Units in every spelling that files of microscopes have."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg._shared.units import (
    angstroms,
    dimension,
    is_unknown,
    parse_unit,
    to_angstrom,
    unit_name,
)

PREFIXES = {
    "pico": 1e-12,
    "nano": 1e-9,
    "micro": 1e-6,
    "milli": 1e-3,
    "centi": 1e-2,
    "": 1.0,
    "kilo": 1e3,
}
SHORT = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "c": 1e-2, "": 1.0}
ANGSTROMS = ["Å", "\u212b", "A\u030a", "A", "angstrom", "Angstrom", "angstroms", "ANGSTROM"]
ANGSTROMS += ["ångström", "Ångström", "angström", "ang", "\\u00c5", "Ã…"]

long_names = st.tuples(
    st.sampled_from(sorted(PREFIXES)), st.sampled_from(["meter", "metre", "meters", "metres"])
).map(lambda words: ("".join(words), PREFIXES[words[0]] * 1e10))
short_names = st.tuples(st.sampled_from(sorted(SHORT)), st.sampled_from(["", "_"])).map(
    lambda words: (f"{words[0]}{words[1] if words[0] else ''}m", SHORT[words[0]] * 1e10)
)
other_names = st.sampled_from(
    [(name, 1.0) for name in ANGSTROMS] + [("micron", 1e4), ("microns", 1e4), ("inch", 2.54e8)]
)
lengths = st.one_of(long_names, short_names, other_names)
wrappings = st.sampled_from(
    ["{}", " {} ", "[{}]", "({})", "{}\0", "[ {} ]", "{}/px", "{} per pixel", "{}/pixel", "{} / px"]
)
reciprocals = st.sampled_from(
    ["1/{}", "1 / {}", "{}^-1", "{}-1", "{}⁻¹", "{}**-1", "{} ^ -1", "[1/{}]", "[{}^-1]", "per {}"]
)


@given(lengths, wrappings)
def test_every_spelling_of_a_length_is_that_length(length: tuple[str, float], how: str) -> None:
    name, expected = length
    assert angstroms(how.format(name)) == pytest.approx(expected, rel=1e-12)
    assert to_angstrom(-2.0, how.format(name)) == pytest.approx(2 * expected, rel=1e-12)


@given(long_names)
def test_names_are_read_in_any_case(length: tuple[str, float]) -> None:
    name, expected = length
    assert angstroms(name.upper()) == angstroms(name.title()) == pytest.approx(expected)


@given(lengths, reciprocals)
def test_reciprocal_units_are_no_lengths(length: tuple[str, float], how: str) -> None:
    text = how.format(length[0])
    assert dimension(text) == "reciprocal"
    assert angstroms(text) is None
    assert parse_unit(text) ** -1 == parse_unit(length[0])


@given(st.one_of(lengths, lengths.map(lambda each: (f"1/{each[0]}", 0.0))))
def test_symbols_are_read_again(length: tuple[str, float]) -> None:
    name = unit_name(length[0])
    assert name is not None
    assert parse_unit(name) == parse_unit(length[0])
    assert unit_name(name) == name


@given(lengths.filter(lambda each: "Ã" not in each[0]))
def test_composed_and_decomposed_signs_are_alike(length: tuple[str, float]) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert angstroms(unicodedata.normalize(form, length[0])) == angstroms(length[0])


@given(st.one_of(st.text(max_size=12), st.binary(max_size=8), st.none(), st.floats()))
def test_any_text_is_a_unit_or_none(text: object) -> None:
    unit, name = parse_unit(text), unit_name(text)
    assert (unit is None) == (name is None)
    assert not (is_unknown(text) and unit is not None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("eV", "energy"),
        ("keV", "energy"),
        ("s", "time"),
        ("sec", "time"),
        ("ms", "time"),
        ("mrad", "angle"),
        ("°", "angle"),
        ("px", "pixel"),
        ("pixels", "pixel"),
        ("points", "pixel"),
        ("counts", "none"),
        ("nm^2", "none"),
        ("1/mrad", "none"),
    ],
)
def test_other_units_are_no_lengths(text: str, what: str) -> None:
    """Though "px" is a length of printers, "A" a current and "s" a scruple elsewhere."""
    assert dimension(text) == what
    assert angstroms(text) is None


@pytest.mark.parametrize("text", ["", " ", "<undefined>", "None", None, "a.u.", "\0", 3.0])
def test_units_that_are_not_stated_are_not_unknown(text: object) -> None:
    assert parse_unit(text) is None
    assert not is_unknown(text)


@pytest.mark.parametrize("text", ["furlongs per fortnight", "bananas", "parsec", "pica", "x", "?!"])
def test_units_of_no_microscope_are_unknown(text: str) -> None:
    assert parse_unit(text) is None
    assert is_unknown(text)
