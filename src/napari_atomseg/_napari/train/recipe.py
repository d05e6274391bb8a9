"""Training recipes of the Train panel's settings, and the settings of recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.train.losses import objective_part, objective_settings
from napari_atomseg._napari.train.settings import TASKS, TrainSettings
from napari_atomseg._napari.train.source import shipped_name, source_part, source_settings

if TYPE_CHECKING:
    from napari_atomseg.training import TrainingRecipe

_UNCHANGED: dict[str, Any] = {
    "flips": False,
    "rotation": 0.0,
    "magnification": 1.0,
    "gain": 1.0,
    "gamma": 1.0,
    "noise": 0.0,
    "kept": (1.0, 1.0),
}
"""Settings that leave images as they are."""
_COMMON = ("name", "seed", "steps", "batch", "crop", "validate_every", "validation", "patience")
_SAME = (*_COMMON, "workers", "half")
"""Settings that have the same name and meaning in a recipe."""
_OPTIMIZER = ("warm_up", "weight_decay", "clip", "average")
"""Settings of the same name in the recipe's optimizer."""


def make_recipe(
    settings: TrainSettings, base: TrainingRecipe, source: dict[str, Any] | None
) -> TrainingRecipe:
    """Return the recipe of some settings.

    Parameters
    ----------
    base : what holds for everything that the panel has no setting for.
    source : the recipe's source, in place of that of the settings; None for simulated images and
        what the base says.

    Raises
    ------
    ValueError
        A value is out of range, or values do not fit each other.
    """
    from napari_atomseg import weights
    from napari_atomseg.training import load_recipe

    content = base.model_dump() | {name: getattr(settings, name) for name in _SAME}
    tasks = base.tasks if set(base.tasks) == set(settings.tasks) else settings.tasks
    content |= {"tasks": tasks, **objective_part(settings, base, tasks)}
    changes = {name: getattr(settings, name) for name in _UNCHANGED}
    if changes != _changes_of(base):
        content["augmentation"] = _augmentation(changes)
    content["network"] = {"name": settings.network, "arguments": _arguments(settings.arguments)}
    content["optimizer"] |= {name: getattr(settings, name) for name in _OPTIMIZER}
    if settings.rate != base.optimizer.rate:
        slowest = min(base.optimizer.final_rate, settings.rate)
        content["optimizer"] |= {"rate": settings.rate, "final_rate": slowest}
    initial = weights.resolve(settings.initial) if settings.initial else None
    if initial != base.initial:
        content |= {"initial": initial, "initial_sha256": None}
    return load_recipe(content | source_part(settings, source))


def settings_of(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the settings that stand for a recipe, by name.

    What the panel has no setting for is left to the recipe itself, see `make_recipe`.
    """
    found: dict[str, Any] = {name: getattr(recipe, name) for name in _SAME}
    found |= {name: getattr(recipe.optimizer, name) for name in ("rate", *_OPTIMIZER)}
    found |= _changes_of(recipe)
    found["initial"] = str(recipe.initial) if recipe.initial else ""
    found["network"] = recipe.network.name
    found["arguments"] = arguments_text(recipe.network.arguments)
    aims = {"tasks": recipe.tasks, **objective_settings(recipe)}
    return found | aims | source_settings(recipe, aims)


def arguments_text(arguments: dict[str, Any]) -> str:
    """Return a network's arguments in a line, as the user types them."""
    import yaml

    if not arguments:
        return ""
    text = yaml.safe_dump(arguments, default_flow_style=True, sort_keys=False, width=10**6)
    return str(text).strip()[1:-1]


def _arguments(text: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(f"{{{text}}}")
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or any(value is None for value in found.values()):
        raise ValueError(
            f"arguments={text!r} of the network must be like 'widths: [16, 32, 64]', with commas "
            "between several"
        )
    return found


def recipe_text(recipe: TrainingRecipe, folder: Path) -> str:
    """Return a recipe as YAML that `napari-atomseg train` reads: what differs from the defaults.

    Parameters
    ----------
    folder : of the file, an absolute path; files in it are named relative to it.
    """
    import yaml

    from napari_atomseg.ranges import FOLDER
    from napari_atomseg.training import TrainingRecipe

    content = recipe.model_dump(mode="json", context={FOLDER: folder})
    usual = TrainingRecipe(tasks=recipe.tasks).model_dump(mode="json")
    usual["tasks"] = list(TASKS)
    kept = {n: v for n, v in content.items() if v != usual[n] or n in ("name", "seed", "steps")}
    shipped = shipped_name(recipe.simulation)
    if "simulation" in kept and shipped is not None:
        kept["simulation"] = shipped
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _augmentation(changes: dict[str, Any]) -> dict[str, Any] | None:
    """Return the recipe's part that changes images at random."""
    if changes == _UNCHANGED:
        return None
    factors = {"scale": "magnification", "gain": "gain", "gamma": "gamma"}
    return {
        "flips": changes["flips"],
        "right_angles": changes["flips"],
        "rotation": (-changes["rotation"], changes["rotation"]),
        **{part: (1 / changes[name], changes[name]) for part, name in factors.items()},
        "noise": (0.0, changes["noise"]),
        "kept": changes["kept"],
    }


def _changes_of(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the settings that are nearest to a recipe's augmentation."""
    part = recipe.augmentation
    if part is None:
        return _UNCHANGED
    return {
        "flips": part.flips,
        "rotation": part.rotation[1],
        "magnification": part.scale[1],
        "gain": part.gain[1],
        "gamma": part.gamma[1],
        "noise": part.noise[1],
        "kept": part.kept,
    }
