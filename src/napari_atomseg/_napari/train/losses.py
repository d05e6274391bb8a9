"""Losses and discriminators of recipes, and the settings of the Train panel that stand for them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.train.loss_list import Lines
from napari_atomseg._napari.train.settings import APGAN, OWN, USUAL, TrainSettings

if TYPE_CHECKING:
    from napari_atomseg.training import TrainingRecipe

_APGAN_LOSSES = ({"kind": "ssim"}, {"kind": "psnr"})
_APGAN_ADVERSARY = {
    "loss": {"kind": "least_squares"},
    "discriminator": "apgan_discriminator",
}
"""Losses of every task and the discriminator of the AP-GAN paper (Chen et al. 2023)."""


def objective_part(
    settings: TrainSettings, base: TrainingRecipe, tasks: tuple[str, ...]
) -> dict[str, Any]:
    """Return the losses and the discriminator that settings stand for, as a recipe's content.

    Parameters
    ----------
    base : what the panel has no setting for; the discriminator keeps its own arguments.
    """
    if settings.objective == USUAL:
        return {"losses": {}, "adversarial": None}
    if settings.objective == APGAN:
        losses = {task: list(_APGAN_LOSSES) for task in tasks}
        return {"losses": losses, "adversarial": _APGAN_ADVERSARY}
    own: dict[str, list[Any]] = {}
    for task, loss in settings.losses:
        if task in tasks:
            own.setdefault(task, []).append(loss)
    return {"losses": own, "adversarial": _adversary(settings, base)}


def objective_settings(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the settings that stand for the losses and the discriminator of a recipe."""
    for name in (USUAL, APGAN):
        settings = dataclasses.replace(TrainSettings(), objective=name)
        if _is(recipe, objective_part(settings, recipe, recipe.tasks)):
            return {"objective": name, "losses": (), "adversary": ""}
    found: dict[str, Any] = {"objective": OWN, "losses": _lines(recipe), "adversary": ""}
    part = recipe.adversarial
    if part is not None:
        found |= {
            "adversary": part.loss.kind,
            "adversary_weight": part.loss.weight,
            "judge": part.discriminator,
            "adversary_start": part.start,
        }
    return found


def _adversary(settings: TrainSettings, base: TrainingRecipe) -> dict[str, Any] | None:
    if not settings.adversary:
        return None
    part: dict[str, Any] = base.adversarial.model_dump() if base.adversarial else {}
    if part.get("discriminator") != settings.judge:
        part = {"discriminator": settings.judge}
    weight = settings.adversary_weight
    loss = {"kind": settings.adversary} | ({} if weight is None else {"weight": weight})
    return part | {"loss": loss, "start": settings.adversary_start}


def _is(recipe: TrainingRecipe, part: dict[str, Any]) -> bool:
    from napari_atomseg.training import load_recipe

    other = load_recipe({"tasks": recipe.tasks, **part})
    return (other.losses, other.adversarial) == (recipe.losses, recipe.adversarial)


def _lines(recipe: TrainingRecipe) -> Lines:
    """Return the losses of the tasks that have not their usual ones."""
    from napari_atomseg.training import load_recipe

    usual = load_recipe({"tasks": recipe.tasks}).losses
    return tuple(
        (task, {"kind": loss.kind, **loss.model_dump(mode="json", exclude_defaults=True)})
        for task, losses in recipe.losses.items()
        if losses != usual[task]
        for loss in losses
    )
