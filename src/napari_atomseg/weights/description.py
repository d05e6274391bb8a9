"""What a model says of itself, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_atomseg.weights.registry import Entry

_OF_THE_TRAINING = ("step", "loss", "validation_")
"""Scores that tell how the training went rather than how good the model is."""


def describe_model(
    entry: Entry,
    file: Path | None = None,
    task_name: Callable[[str], str] = str,
    score_name: Callable[[str], str] = str,
) -> dict[str, str]:
    """A model's card for people: what stands before each line, and the line.

    Parameters
    ----------
    file : of the model, if it is here.
    task_name, score_name : say tasks and scores in other words.
    """
    kept = {k: v for k, v in entry.scores.items() if not k.startswith(_OF_THE_TRAINING)}
    recipe = str(entry.recipe.get("name", ""))
    lines = {
        "Description": entry.description,
        "Tasks": ", ".join(map(task_name, entry.tasks)),
        "Modality": entry.modality,
        "Sampling": _range(entry.sampling_range, "Å per pixel") or "any",
        "Spacing": _range(entry.spacing_range, "pixels from column to column") or "any",
        "Scores": "; ".join(f"{score_name(name)} {value:.4g}" for name, value in kept.items()),
        "Network": f"{entry.architecture}, {_parameters(entry.parameters)} parameters",
        "Training": _training(recipe, entry.steps),
        "Licence": entry.licence,
        "Size": f"{entry.size / 1e6:.1f} MB",
        "SHA-256": entry.sha256,
        "File": str(file) if file else "",
        "Addresses": "\n".join(entry.urls),
    }
    return {label: line for label, line in lines.items() if line}


def location(row: Mapping[Any, Any]) -> str:
    """Where the model of a row of `models` is, in a word or two."""
    if row["own"]:
        return "own"
    if row["bundled"]:
        return "bundled"
    return "downloaded" if row["downloaded"] else "to download"


def _range(bounds: tuple[float, float] | None, unit: str) -> str:
    return f"{bounds[0]:.3g} to {bounds[1]:.3g} {unit}" if bounds else ""


def _parameters(count: int) -> str:
    return f"{count / 1e6:.2f} million" if count >= 10**5 else str(count)


def _training(recipe: str, steps: int) -> str:
    by = f"recipe {recipe}" if recipe else ""
    return ", ".join(part for part in (by, f"{steps} steps" if steps else "") if part)
