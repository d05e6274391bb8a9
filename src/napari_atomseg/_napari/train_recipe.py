"""Training recipes of the Train panel's settings, and the settings of recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.train_settings import (
    BLIND_SPOT,
    OPENED,
    SIMULATED,
    TASKS,
    TrainSettings,
)

if TYPE_CHECKING:
    from napari_atomseg.training import TrainingRecipe

_APGAN = {
    "losses": ({"kind": "ssim"}, {"kind": "psnr"}),
    "adversarial": {
        "loss": {"kind": "least_squares"},
        "discriminator": "apgan_discriminator",
    },
}
"""Losses of every task and the discriminator of the AP-GAN paper (Chen et al. 2023)."""
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
    content |= {"tasks": tasks, "losses": _losses(settings, base, tasks)}
    content["adversarial"] = _adversarial(settings, base)
    changes = {name: getattr(settings, name) for name in _UNCHANGED}
    if changes != _changes_of(base):
        content["augmentation"] = _augmentation(changes)
    if settings.network != base.network.name:
        content["network"] = {"name": settings.network}
    if settings.rate != base.optimizer.rate:
        slowest = min(base.optimizer.final_rate, settings.rate)
        content["optimizer"] |= {"rate": settings.rate, "final_rate": slowest}
    initial = weights.resolve(settings.initial) if settings.initial else None
    if initial != base.initial:
        content |= {"initial": initial, "initial_sha256": None}
    if settings.source == SIMULATED:
        content |= {"simulation": settings.recipe, "source": None}
        if "elements" in tasks:
            content["source"] = _simulated(settings, source)
    elif settings.source != OPENED:
        content["source"] = _mixed(settings, source)
    return load_recipe(content)


def settings_of(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the settings that stand for a recipe, by name.

    What the panel has no setting for is left to the recipe itself, see `make_recipe`.
    """
    from napari_atomseg.training.sources import Folder, LibraryFolder

    found: dict[str, Any] = {name: getattr(recipe, name) for name in _SAME}
    found |= {"tasks": recipe.tasks, "network": recipe.network.name, "rate": recipe.optimizer.rate}
    found |= _changes_of(recipe)
    found["initial"] = str(recipe.initial) if recipe.initial else ""
    found["source"] = OPENED
    shipped = _shipped_name(recipe.simulation)
    if recipe.source is None and shipped is not None:
        found |= {"source": SIMULATED, "recipe": shipped}
    elif isinstance(recipe.source, LibraryFolder | Folder):
        plain: dict[str, Any] = {"folder": recipe.source.folder}
        if type(recipe.source)(**plain) == recipe.source:
            found |= {"source": recipe.source.kind, "folder": str(recipe.source.folder)}
    found["objective"] = next(
        (name for name in ("usual", "apgan") if _has_objective(recipe, name)), OPENED
    )
    return found


def recipe_text(recipe: TrainingRecipe) -> str:
    """Return a recipe as YAML that `napari-atomseg train` reads: what differs from the defaults."""
    import yaml

    from napari_atomseg.training import TrainingRecipe

    content = recipe.model_dump(mode="json")
    usual = TrainingRecipe(tasks=recipe.tasks).model_dump(mode="json")
    usual["tasks"] = list(TASKS)
    kept = {n: v for n, v in content.items() if v != usual[n] or n in ("name", "seed", "steps")}
    shipped = _shipped_name(recipe.simulation)
    if "simulation" in kept and shipped is not None:
        kept["simulation"] = shipped
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _mixed(settings: TrainSettings, source: dict[str, Any] | None) -> dict[str, Any]:
    """Return a source that is mixed with simulated images, if so wished."""
    if source is None:
        source = {"kind": settings.source, "folder": Path(settings.folder).expanduser()}
    if _named(settings) and settings.source != BLIND_SPOT:
        source = source | {"species": _named(settings)}
    if not settings.share:
        return source
    share = settings.share / 100.0
    parts = [source, _simulated(settings, source)]
    return {"kind": "mixture", "parts": parts, "weights": [1.0 - share, share]}


def _simulated(settings: TrainSettings, beside: dict[str, Any] | None) -> dict[str, Any]:
    """Return a simulated source, with the species of the source beside it if there is one."""
    from napari_atomseg.simulation import load_recipe
    from napari_atomseg.training.sources import simulated_species

    species = _named(settings)
    if "elements" in settings.tasks and not species:
        if beside is None:
            species = simulated_species(load_recipe(settings.recipe))
        else:
            species = beside.get("species", ())
    return {"kind": SIMULATED, "recipe": settings.recipe, "species": species}


def _named(settings: TrainSettings) -> tuple[str, ...]:
    """Return the species that the user has named, where maps of species are to be learned."""
    names = settings.elements.split(",") if "elements" in settings.tasks else ()
    return tuple(name.strip() for name in names if name.strip())


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


def _losses(settings: TrainSettings, base: TrainingRecipe, tasks: tuple[str, ...]) -> Any:
    if settings.objective == "apgan":
        return {task: list(_APGAN["losses"]) for task in tasks}
    if settings.objective == OPENED:
        return {task: losses for task, losses in base.losses.items() if task in tasks}
    return {}


def _adversarial(settings: TrainSettings, base: TrainingRecipe) -> Any:
    if settings.objective == OPENED:
        return base.adversarial
    return _APGAN["adversarial"] if settings.objective == "apgan" else None


def _has_objective(recipe: TrainingRecipe, name: str) -> bool:
    """Return whether the losses of a recipe are those that the panel calls so."""
    from napari_atomseg.training import load_recipe

    settings = dataclasses.replace(TrainSettings(), objective=name)
    same = {
        "tasks": recipe.tasks,
        "losses": _losses(settings, recipe, recipe.tasks),
        "adversarial": _adversarial(settings, recipe),
    }
    other = load_recipe(same)
    return (other.losses, other.adversarial) == (recipe.losses, recipe.adversarial)


def _shipped_name(simulation: Any) -> str | None:
    """Return the name of the shipped recipe that this one is."""
    from napari_atomseg.simulation import load_recipe, recipes

    return next((name for name in recipes() if load_recipe(name) == simulation), None)
