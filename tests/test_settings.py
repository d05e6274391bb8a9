"""Settings: one field is checked in Python, becomes an option, and describes itself."""

from __future__ import annotations

from copy import deepcopy
from math import inf, nan
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis.strategies import DataObject, data, floats, integers
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from napari_atomseg.cli.options import with_parameters
from napari_atomseg.ranges import Range
from napari_atomseg.settings import Settings, about, describe, fields_of, options, setting


class Bonds(Settings):
    """One field of each kind."""

    longest_bond: float = setting(1.8, "Longest bond", "Length.", unit="Å", limits=(0.1, 5.0))
    window: tuple[int, int] = setting((5, 7), "Window (y, x)", "Size.", unit="px", limits=(1, 99))
    classes: int | None = setting(None, "Classes", "Number.", limits=(1, 20), none="automatic")
    gamma: float | None = setting(1.7, "Gamma", "Power.", limits=(0, 3), none="form factors")
    origin: tuple[float, float] | None = setting(None, "Origin", "Place.", none="the centre")
    cell: Literal["conventional", "primitive_cell"] = setting(
        "conventional", "Cell", "Kind of cell.", section="Advanced"
    )
    fold: int | None = setting(
        None, "Symmetry", "Fold.", choices={4: "4-fold", 6: "6-fold"}, none="automatic"
    )
    names: tuple[str, ...] = setting((), "Names", "Elements.")
    element: str | None = setting(None, "Element", "Symbol.", none="unknown")
    table: Path | None = setting(None, "Table", "A file.", none="no table")
    scale: bool = setting(False, "Scale", "Whether to scale.")
    dose: float = setting(inf, "Dose", "Electrons.", limits=(0, inf))


OTHERS: dict[str, Any] = {
    "longest_bond": 2.5,
    "window": (3, 4),
    "classes": 4,
    "gamma": None,
    "origin": (1.5, -2.0),
    "cell": "primitive_cell",
    "fold": 6,
    "names": ("Ti", "O"),
    "element": "Pt",
    "table": Path("a.csv"),
    "scale": True,
    "dose": 3.0,
}
"""A value of each field that is not its default."""


def test_values_become_plain_python() -> None:
    bonds = Bonds(longest_bond=np.float32(2), window=np.array([3, 4]), table="a.csv", names=["Ti"])
    assert (type(bonds.longest_bond), type(bonds.window[0])) == (float, int)
    assert (bonds.window, bonds.table, bonds.names) == ((3, 4), Path("a.csv"), ("Ti",))
    assert Bonds(**dict(bonds)) == bonds
    assert deepcopy(bonds) == bonds
    assert bonds.updated(scale=True) == Bonds(**{**dict(bonds), "scale": True})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("longest_bond", 9, "longest_bond=9 must be a number from 0.1 to 5 Å"),
        ("longest_bond", nan, "longest_bond=nan must be a number from 0.1 to 5 Å"),
        ("dose", -1, "dose=-1 must be a number of at least 0"),
        ("window", 5, "window=5 must be 2 whole numbers from 1 to 99 px"),
        ("window", (0, 5), r"window=\(0, 5\) must be 2 whole numbers"),
        ("classes", 0, r"classes=0 must be a whole number from 1 to 20, or None \(automatic\)"),
        ("cell", "cubic", "cell='cubic'; choose one of conventional, primitive_cell"),
        ("cell", ["primitive"], "cell=.*choose one of"),
        ("fold", 3, r"fold=3; choose one of 4, 6, or None \(automatic\)"),
        ("names", "Ti", "names='Ti' must be any number of texts"),
    ],
)
def test_values_out_of_range_are_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bonds(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("longest_bond", "long"),
        ("longest_bond", None),
        ("longest_bond", True),
        ("window", (1.5, 2)),
        ("classes", 1.5),
        ("names", (1, 2)),
        ("element", 3),
        ("table", 3),
        ("scale", 1),
    ],
)
def test_values_of_another_kind_are_named(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name) as raised:
        Bonds(**{name: value})
    assert repr(value) in str(raised.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(TypeError, match="bond is no setting; there are longest_bond, window"):
        Bonds(bond=1.0)


@given(data())
def test_exactly_the_numbers_within_the_limits_are_accepted(data: DataObject) -> None:
    low = data.draw(integers(-100, 99))
    high = data.draw(integers(low + 1, 100))

    class Bounded(Settings):
        number: float = setting(float(low), "Number", "A number.", limits=(low, high))

    value = data.draw(floats(-200, 200))
    if low <= value <= high:
        assert Bounded(number=value).number == value
    else:
        with pytest.raises(ValueError, match=f"number={value!r} must be"):
            Bounded(number=value)


@pytest.mark.parametrize("name", Bonds.model_fields)
def test_every_field_is_an_option(name: str) -> None:
    value = OTHERS[name]
    flag = f"--{name.replace('_', '-')}"
    words = [flag] if value is True else [flag, "none" if value is None else str(value)]
    if isinstance(value, tuple):
        several = about(Bonds, name).length == 0
        words = [flag, *map(str, value)]
        words = [word for one in value for word in (flag, one)] if several else words
    assert _run([]) == Bonds()
    assert _run(words) == Bonds(**{name: value})


def test_none_is_a_word_on_the_command_line() -> None:
    assert _run(["--classes", "none", "--element", "none"]) == Bonds()


def test_help_has_unit_choices_and_section() -> None:
    text = " ".join(CliRunner().invoke(_app([]), ["--help"], env={"COLUMNS": "200"}).output.split())
    for words in ("Length (Å).", "One of 4, 6.", "none means automatic.", "--no-scale", "Advanced"):
        assert words in text


def test_descriptions_are_parameters_of_a_docstring() -> None:
    lines = describe(Bonds, leave_out=("window",)).splitlines()
    assert len(lines) == len(fields_of(Bonds)) - 1
    assert lines[0] == "longest_bond : Length (Å)."
    assert "cell : Kind of cell. One of 'conventional', 'primitive_cell'." in lines
    assert "gamma : Power. None: form factors." in lines


def test_settings_are_inherited_and_can_be_replaced() -> None:
    class More(Bonds):
        """Settings of a panel, beside those of a function."""

        dose: float = setting(5.0, "Dose", "Electrons of the beam.")
        preview: bool = setting(True, "Preview", "Whether to draw.")

    assert More().dose == 5.0
    assert about(More, "dose").help == "Electrons of the beam."
    assert list(fields_of(More)) == [*fields_of(Bonds), "preview"]


def test_other_models_have_settings_within_limits() -> None:
    class Jitter(BaseModel):
        """Part of a recipe."""

        kind: Literal["jitter"] = "jitter"
        sigma: Range = setting((0.0, 0.8), "Jitter", "Shift.", unit="Å", limits=(0.0, 20.0))

    assert list(fields_of(Jitter)) == ["sigma"]
    assert (about(Jitter, "sigma").kind, about(Jitter, "sigma").length) == (float, 2)
    assert Jitter(sigma=[1, 2]).sigma == (1.0, 2.0)
    with pytest.raises(ValidationError, match=r"sigma\s+.*must be from 0 to 20 Å"):
        Jitter(sigma=(0.0, 30.0))


def test_contradictions_in_a_class_are_found_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="not made by setting"):

        class Bare(Settings):
            number: float = 1.0

    with pytest.raises(TypeError, match="none"):

        class Optional(Settings):
            number: float | None = setting(None, "Number", "A number.")

    with pytest.raises(TypeError, match="choices"):

        class Chosen(Settings):
            word: Literal["a", "b"] = setting("a", "Word", "A word.", choices={"a": "A"})

    with pytest.raises(ValueError, match="number=3"):

        class Default(Settings):
            number: float = setting(3.0, "Number", "A number.", limits=(0, 1))


def _app(received: list[Bonds]) -> typer.Typer:
    def command(**values: Any) -> None:
        received.append(Bonds(**values))

    app = typer.Typer(add_completion=False)
    app.command()(with_parameters(command, options(Bonds)))
    return app


def _run(words: list[str]) -> Bonds:
    received: list[Bonds] = []
    result = CliRunner().invoke(_app(received), words)
    assert result.exit_code == 0, result.output
    return received[0]
