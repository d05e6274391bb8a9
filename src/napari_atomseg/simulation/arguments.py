"""Arguments that know themselves: default, unit, range, label and help, each written once.

A dataclass whose fields are made by `argument` is the one source of a function's defaults, of the
checks of its values, of the inputs of a panel and of the options of a command.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from numbers import Integral, Real
from typing import Any

_KEY = "argument"


@dataclass(frozen=True)
class Argument:
    """What is known about an argument.

    Attributes
    ----------
    label, help : a few words for a form, a sentence for whoever wonders.
    section : part of the form or of the command's help that it belongs to; none: shown first.
    unit : unit of numbers.
    accepted : lowest and highest number, both included.
    usual : part of it that a slider covers.
    logarithmic : whether a slider moves by factors.
    choices : the only values that are accepted, and their texts.
    nothing : what None means, where None is accepted.
    """

    label: str
    help: str
    section: str = ""
    unit: str = ""
    accepted: tuple[float, float] = (-inf, inf)
    usual: tuple[float, float] | None = None
    logarithmic: bool = False
    choices: Mapping[str, str] | None = None
    nothing: str = ""


def argument(default: Any, label: str, help: str, *about: Any, **more: Any) -> Any:
    """Return a dataclass field with a default and the attributes of an `Argument`."""
    known = Argument(label, help, *about, **more)
    return dataclasses.field(default=default, metadata={_KEY: known})


def about(field: dataclasses.Field[Any]) -> Argument:
    """Return what is known about a field made by `argument`."""
    known: Argument = field.metadata[_KEY]
    return known


def checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value of a field as its default has it: float, int, bool or tuple of these.

    Names without choices, and tuples whose default is empty, hold what only their user can check.

    Raises
    ------
    TypeError
        The value is of another kind.
    ValueError
        The value is out of range or none of the choices.
    """
    known, name, default = about(field), field.name, field.default
    if value is None and known.nothing:
        return None
    if default == ():
        return tuple(value)
    if known.choices is not None:
        return _chosen(known.choices, name, value)
    if isinstance(default, tuple):
        return _several(known, name, value, default)
    if isinstance(default, str):
        return value
    return _one(known, name, value, value, type(default))


def _chosen(choices: Mapping[str, str], name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value!r}; choose one of {', '.join(choices)}")
    return value


def _several(known: Argument, name: str, value: Any, default: tuple[Any, ...]) -> tuple[Any, ...]:
    kind = type(default[0])
    try:
        each = tuple(value)
    except TypeError:
        each = ()
    if len(each) != len(default) or isinstance(value, str):
        raise ValueError(f"{name}={value!r} must be {_described(known, kind, len(default))}")
    return tuple(_one(known, name, value, part, kind, len(default)) for part in each)


def _one(known: Argument, name: str, whole: Any, value: Any, kind: type, count: int = 1) -> Any:
    if kind is bool:
        accepted = value is True or value is False
    else:
        number = Integral if kind is int else Real
        accepted = isinstance(value, number) and not isinstance(value, bool)
    if not accepted:
        raise TypeError(f"{name}={whole!r} must be {_described(known, kind, count)}")
    low, high = known.accepted
    if kind is not bool and not low <= value <= high:
        raise ValueError(f"{name}={whole!r} must be {_described(known, kind, count)}")
    return kind(value)


def _described(known: Argument, kind: type, count: int) -> str:
    if kind is bool:
        return "True or False"
    what = "whole number" if kind is int else "number"
    what = f"a {what}" if count == 1 else f"{count} {what}s"
    unit = f" {known.unit}" if known.unit else ""
    low, high = known.accepted
    span = f"from {low:.12g} to {high:.12g}" if high < inf else f"of at least {low:.12g}"
    return f"{what} {span}{unit}"
