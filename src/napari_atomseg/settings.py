"""Settings: their default, label, unit, limits and help, each written once.

A model whose fields are made by `setting` is the one source of a function's defaults and checks, of
the form of a panel, of the options of a command and of the parameters in a docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from textwrap import TextWrapper
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

NONE = "none"
"""How the command line writes None."""

_DOCSTRING_WIDTH = 96
_METAVARS: dict[type, str] = {int: "INTEGER", float: "FLOAT", str: "TEXT", Path: "PATH"}
_KINDS = (bool, *_METAVARS)


@dataclass(frozen=True)
class Setting:
    """One setting: its value by default, what it is called, and which values it takes.

    Attributes
    ----------
    label, help : a few words for a form, a sentence for a tooltip or `--help`.
    unit : unit of a number.
    limits : lowest and highest number, both included.
    usual : part of the limits that a slider covers.
    logarithmic : whether a slider or a spin box moves by factors.
    step, decimals : of a spin box; None: made from the range.
    choices : the only values that are accepted, and their texts.
    none : meaning of None; empty: None is refused.
    section : folded part of a form, or panel of a command's help; empty: shown first.
    read : makes the value of what is given, a text too, and raises ValueError where it cannot; by
        it, the command line and the inputs of panels read one text.
    name : of the field.
    kind : of the value, or of each in a tuple: bool, int, float, str, Path, or object for another.
    length : number of values in a tuple, 0 for any number of them; None: the value is no tuple.
    """

    default: Any
    label: str
    help: str
    unit: str = ""
    limits: tuple[float, float] = (-inf, inf)
    usual: tuple[float, float] | None = None
    logarithmic: bool = False
    step: float | None = None
    decimals: int | None = None
    choices: Mapping[Any, str] | None = None
    none: str = ""
    section: str = ""
    read: Callable[[Any], Any] | None = None
    name: str = ""
    kind: type = object
    length: int | None = None

    def checked(self, value: Any) -> Any:
        """Return a value as the setting has it: plain Python, tuples for sequences.

        Raises
        ------
        TypeError
            The value is of another kind.
        ValueError
            The value is out of range, none of the choices, or of another length.
        """
        if value is None and self.none:
            return None
        if self.read is not None:
            value = self.read(value)
        if self.length is None:
            return self._one(value, value)
        try:
            each = None if isinstance(value, str) else tuple(value)
        except TypeError:
            each = None
        if each is None or len(each) != (self.length or len(each)):
            raise ValueError(f"{self.name}={value!r} must be {self.accepted}")
        return tuple(self._one(part, value) for part in each)

    @property
    def accepted(self) -> str:
        """The values that are accepted, in words: "2 whole numbers from 8 to 16384 px"."""
        nouns = {bool: "True or False", int: "whole number", float: "number", Path: "path"}
        words = nouns.get(self.kind, "text" if self.kind is str else "value")
        if self.length is not None:
            words = f"{self.length or 'any number of'} {words}s"
        elif self.kind not in (bool, str):
            words = f"a {words}"
        words += f" {self._span}" if self._span else ""
        return f"{words}, or None ({self.none})" if self.none else words

    @property
    def _span(self) -> str:
        """The limits in words, with the unit."""
        low, high = self.limits
        unit = f" {self.unit}" if self.unit else ""
        if low == -inf and high == inf:
            return f"in{unit}" if unit else ""
        if low == -inf:
            return f"of at most {high:.12g}{unit}"
        if high == inf:
            return f"of at least {low:.12g}{unit}"
        return f"from {low:.12g} to {high:.12g}{unit}"

    def _one(self, value: Any, whole: Any) -> Any:
        if self.choices is not None:
            return self._chosen(value)
        if self.kind is object:
            return value
        if not _is(value, self.kind):
            raise TypeError(f"{self.name}={whole!r} must be {self.accepted}")
        if self.kind in (int, float) and not self.limits[0] <= value <= self.limits[1]:
            raise ValueError(f"{self.name}={whole!r} must be {self.accepted}")
        return self.kind(value)

    def within(self, value: Any) -> Any:
        """Return a value, or a tuple of them, whose numbers lie within the limits.

        Models other than `Settings` check their fields by this, after pydantic's own checks.

        Raises
        ------
        ValueError
            A number is out of range.
        """
        low, high = self.limits
        for each in value if isinstance(value, tuple) else (value,):
            if _is(each, float) and not low <= each <= high:
                raise ValueError(f"{value} must be {self._span}".replace("be of", "be"))
        return value

    def _chosen(self, value: Any) -> Any:
        found = [choice for choice in self.choices or () if choice is value or choice == value]
        if not found:
            words = ", ".join(map(str, self.choices or ()))
            more = f", or None ({self.none})" if self.none else ""
            raise ValueError(f"{self.name}={value!r}; choose one of {words}{more}")
        return found[0]


class Settings(BaseModel):
    """Frozen settings, each made by `setting`; keywords set them and are checked.

    Raises
    ------
    ValueError
        A value is out of range or none of the choices; the message names the setting.
    TypeError
        A value is of the wrong kind, or there is no setting of a name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in type(self).model_fields]
        if unknown:
            raise TypeError(
                f"{unknown[0]} is no setting; there are {', '.join(type(self).model_fields)}"
            )
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError("; ".join(map(_message, error.errors()))) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        known = fields_of(cls)
        for name in cls.model_fields:
            if name not in known:
                raise TypeError(f"{cls.__name__}.{name} is not made by setting()")
            known[name].checked(known[name].default)

    @field_validator("*", mode="before")
    @classmethod
    def _checked(cls, value: Any, info: ValidationInfo) -> Any:
        return about(cls, str(info.field_name)).checked(value)

    def updated(self, **changes: Any) -> Self:
        """Return the settings with some of them changed, checked as at first."""
        return type(self)(**(dict(self) | changes))


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    unit: str = "",
    limits: tuple[float, float] = (-inf, inf),
    usual: tuple[float, float] | None = None,
    logarithmic: bool = False,
    step: float | None = None,
    decimals: int | None = None,
    choices: Mapping[Any, str] | None = None,
    none: str = "",
    section: str = "",
    read: Callable[[Any], Any] | None = None,
) -> Any:
    """Return a field of `Settings`, or of another pydantic model; see `Setting`.

    The annotation of the field gives its kind: bool, int, float, str, Path, a Literal, a tuple of
    these, each with `| None` where `none` has a meaning. Values of other annotations are checked
    by pydantic alone. The choices of a Literal without texts are shown as they are written.
    """
    known = Setting(
        default,
        label,
        help,
        unit=unit,
        limits=limits,
        usual=usual,
        logarithmic=logarithmic,
        step=step,
        decimals=decimals,
        choices=choices,
        none=none,
        section=section,
        read=read,
    )
    field = Field(default=default, title=label, description=help)
    field.metadata.extend([known, AfterValidator(known.within)])
    return field


@cache
def fields_of(model: type[BaseModel]) -> dict[str, Setting]:
    """Return the settings of a model by name, in the order in which they are written."""
    found = {}
    for name, field in model.model_fields.items():
        for known in field.metadata:
            if isinstance(known, Setting):
                found[name] = _typed(known, f"{model.__name__}.{name}", field.annotation)
    return found


def about(model: type[BaseModel], name: str) -> Setting:
    """Return the setting of a name."""
    return fields_of(model)[name]


def written(value: Any) -> str:
    """Return a value as a text that `Setting.read` takes: the parts of a tuple with spaces."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def describe(model: type[BaseModel], leave_out: Collection[str] = ()) -> str:
    """Return the lines of the settings for the "Parameters" of a docstring."""
    wrapped = TextWrapper(width=_DOCSTRING_WIDTH, subsequent_indent="    ")
    lines = [
        wrapped.fill(f"{name} : {_described(known)}")
        for name, known in fields_of(model).items()
        if name not in leave_out
    ]
    return "\n".join(lines)


def options(model: type[BaseModel], leave_out: Collection[str] = ()) -> list[inspect.Parameter]:
    """Return an option of a typer command for each setting, such as ``--longest-bond``.

    Whole models go into a command's signature by `napari_atomseg.cli.options.with_parameters`.
    """
    return [_option(known) for name, known in fields_of(model).items() if name not in leave_out]


def _typed(known: Setting, place: str, annotation: Any) -> Setting:
    """Return a setting with the name, kind, length and choices of its field."""
    parts = _parts(annotation)
    optional = NoneType in parts
    parts = [part for part in parts if part is not NoneType]
    anything = Any in parts or object in parts
    if optional != bool(known.none) and not anything:
        raise TypeError(f"{place}: `none` must be given where None is accepted, and only there")
    kind, length = parts[0] if len(parts) == 1 else object, None
    if get_origin(kind) is tuple:
        each = get_args(kind)
        inner = _parts(each[0])
        if len(set(each) - {Ellipsis}) == 1 and len(inner) == 1:
            kind, length = inner[0], 0 if Ellipsis in each else len(each)
    choices = known.choices
    if get_origin(kind) is Literal:
        words = get_args(kind)
        if choices is not None and set(choices) != set(words):
            raise TypeError(f"{place}: the choices are not those of its Literal")
        choices = choices or {word: str(word).replace("_", " ") for word in words}
        kind = type(words[0])
    kind = kind if kind in _KINDS else object
    name = place.rpartition(".")[2]
    return replace(known, name=name, kind=kind, length=length, choices=choices)


def _parts(annotation: Any) -> list[Any]:
    """Return the members of a union, without what is annotated to them."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [part for each in get_args(annotation) for part in _parts(each)]
    return [annotation]


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a kind; numbers of NumPy count, and whole numbers are numbers."""
    accepted: dict[type, Any] = {int: Integral, float: Real, Path: (str, PathLike)}
    return isinstance(value, accepted.get(kind, kind)) and isinstance(value, bool) == (kind is bool)


def _message(error: Any) -> str:
    """Return a fault that pydantic found, in the words of `Setting` where they are its."""
    raised = error.get("ctx", {}).get("error")
    if raised is not None:
        return str(raised)
    return f"{'.'.join(map(str, error['loc']))}={error['input']!r}: {error['msg']}"


def _described(known: Setting) -> str:
    none = [f"None: {known.none}."] if known.none else []
    return " ".join([*_sentences(known, repr), *none])


def _sentences(known: Setting, written: Callable[[Any], str]) -> list[str]:
    """Return the help with the unit, and the choices as they are written."""
    unit = f" ({known.unit})" if known.unit else ""
    words = [f"{known.help.removesuffix('.')}{unit}."]
    if known.choices is not None:
        words.append(f"One of {', '.join(map(written, known.choices))}.")
    return words


def _option(known: Setting) -> inspect.Parameter:
    import typer

    words = _sentences(known, str)
    name = f"--{known.name.replace('_', '-')}"
    kind: Any = known.kind if known.kind in _KINDS else str
    default = known.default
    more: dict[str, Any] = {"rich_help_panel": known.section or None}
    if known.none and kind is not bool and known.length is None:
        more |= {"parser": _or_none(kind), "metavar": f"{_METAVARS[kind]}|{NONE}"}
        words.append(f"{NONE} means {known.none}.")
    if known.none and default is None:
        more["show_default"] = known.none
    if known.read is not None:
        kind, default = Any, None if default is None else written(default)
        more["parser"] = _or_none(str) if known.none else str
        more["metavar"] = f"TEXT|{NONE}" if known.none else "TEXT"
    elif known.length is not None:
        kind = tuple[(kind,) * known.length] if known.length else list[kind]  # type: ignore[misc]
        default = list(default) if default is not None and not known.length else default
    elif kind is bool:
        name += f"/--no-{name.removeprefix('--')}"
    if known.none:
        kind = kind | None
    return inspect.Parameter(
        known.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(name, help=" ".join(words), **more)],
    )


def _or_none(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text == NONE else kind(text)

    return parse
