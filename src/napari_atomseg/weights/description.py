"""Descriptions of models in words, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_atomseg.weights.registry import Entry

TO_DOWNLOAD, TO_IMPORT = "to download", "to import"
"""Where models are that are not on this machine."""

BENCHMARK = "benchmark_psnr"
"""Score of a restoration model, dB; with `_best`, `_raw`, `_bm3d`, `_r_em` those it stands beside.
`benchmarks restoration cards` writes them."""
_METHODS = {
    "_raw": "raw image",
    "_bm3d": "BM3D",
    "": "this model",
    "_best": "its best quality",
    "_r_em": "r_em",
}

_TRAINING_SCORES = ("step", "loss", "validation_")
"""Beginnings of scores about the course of the training, not the quality of the model."""


def describe_model(
    entry: Entry,
    file: Path | None = None,
    task_name: Callable[[str], str] = str,
    score_name: Callable[[str], str] = str,
) -> dict[str, str]:
    """Describe a model: a label and a text for each line.

    Parameters
    ----------
    file : file of the model, None where it is not downloaded.
    task_name, score_name : translate names of tasks and scores.
    """
    apart = (*_TRAINING_SCORES, BENCHMARK)
    kept = {k: v for k, v in entry.scores.items() if not k.startswith(apart)}
    recipe = str(entry.recipe.get("name", ""))
    lines = {
        "Description": entry.description,
        "Tasks": ", ".join(map(task_name, entry.tasks)),
        "Modality": entry.modality,
        "Sampling": _range(entry.sampling_range, "Å per pixel") or "any",
        "Spacing": _range(entry.spacing_range, "pixels between columns") or "any",
        "Scores": "; ".join(f"{score_name(name)} {value:.4g}" for name, value in kept.items()),
        "Benchmark": benchmark(entry.scores),
        "Network": f"{entry.architecture}, {_parameters(entry.parameters)} parameters",
        "Training": _training(recipe, entry.steps),
        "Licence": entry.licence,
        "Source": entry.source,
        "To cite": entry.citation,
        "Size": f"{entry.size / 1e6:.1f} MB",
        "SHA-256": entry.sha256,
        "File": str(file) if file else "",
        "Addresses": "\n".join(entry.urls),
    }
    return {label: line for label, line in lines.items() if line}


def benchmark(scores: Mapping[str, float], name: str = "this model") -> str:
    """PSNR of a restoration model and of others on the same images; empty where not measured."""
    methods = _METHODS | {"": name}
    known = {text: scores.get(f"{BENCHMARK}{ending}") for ending, text in methods.items()}
    parts = [f"{text} {value:.1f}" for text, value in known.items() if value is not None]
    return f"{', '.join(parts)} dB" if parts else ""


def location(row: Mapping[Any, Any]) -> str:
    """Location of the model in a row of `models`, in a word or two."""
    if row["foreign"]:
        return "imported" if row["downloaded"] else TO_IMPORT
    if row["own"]:
        return "own"
    if row["bundled"]:
        return "bundled"
    return "downloaded" if row["downloaded"] else TO_DOWNLOAD


def _range(bounds: tuple[float, float] | None, unit: str) -> str:
    return f"{bounds[0]:.3g} to {bounds[1]:.3g} {unit}" if bounds else ""


def _parameters(count: int) -> str:
    return f"{count / 1e6:.2f} million" if count >= 10**5 else str(count)


def _training(recipe: str, steps: int) -> str:
    by = f"recipe {recipe}" if recipe else ""
    return ", ".join(part for part in (by, f"{steps} steps" if steps else "") if part)
