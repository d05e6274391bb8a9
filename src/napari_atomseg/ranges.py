"""Parts of recipes: frozen models, ranges from which numbers are drawn, and paths of files."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Annotated, TypeGuard

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
)

FOLDER = "folder"
"""Key of the folder of a recipe's file in the context of its validation or JSON."""


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] <= value[1]:
        raise ValueError(f"range {value} must run from low to high")
    return value


def _positive(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] > 0:
        raise ValueError(f"range {value} must be positive")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value; equal for a fixed one."""
PositiveRange = Annotated[Range, AfterValidator(_positive)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def folder_of(info: ValidationInfo | SerializationInfo) -> Path | None:
    """The folder of the file that a recipe is read from or written to, or None."""
    context = info.context or {}
    folder: Path | None = context.get(FOLDER)
    return folder


def _beside(path: Path, info: ValidationInfo) -> Path:
    folder = folder_of(info)
    return path if folder is None else folder / path


def _shortened(path: Path, info: SerializationInfo) -> str:
    folder = folder_of(info)
    inside = folder is not None and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if folder is not None and inside else str(path)


RecipePath = Annotated[
    Path, AfterValidator(_beside), PlainSerializer(_shortened, return_type=str, when_used="json")
]
"""A path in a recipe: in a file, relative to the folder of that file."""


class Part(BaseModel):
    """A part of a recipe: frozen, and nothing in it that the code does not use."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parts_by_kind(package: str) -> dict[str, type[Part]]:
    """Return the parts of recipes that the modules of a package define, by their `kind`.

    A new module, or a new class with a `kind` in one, is found without being listed anywhere.
    """
    found: dict[str, type[Part]] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        for part in vars(import_module(module.name)).values():
            if _is_kind(part) and part.__module__ == module.name:
                found[part.model_fields["kind"].default] = part
    return dict(sorted(found.items()))


def _is_kind(part: object) -> bool:
    kind = part.model_fields.get("kind") if _is_part(part) else None
    return kind is not None and not kind.is_required()


def _is_part(part: object) -> TypeGuard[type[Part]]:
    return isinstance(part, type) and issubclass(part, Part)


def faults(error: ValidationError) -> str:
    """Return the faults of a recipe, each with its place."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}"
        for fault in error.errors()
    )


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number drawn evenly from a range."""
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number whose logarithm is drawn evenly from that of a positive range."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def sometimes(
    rng: np.random.Generator, bounds: tuple[float, float], probability: float = 0.5
) -> float:
    """A number drawn evenly from a range, or 0 where chance leaves the effect out."""
    value = uniform(rng, bounds)
    return value if rng.random() < probability else 0.0
