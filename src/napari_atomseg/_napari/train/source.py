"""Sources of recipes, and the settings of the Train panel that stand for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.train.settings import (
    ANNOTATED,
    BLIND_SPOT,
    FOLDER,
    OPENED,
    SIMULATED,
    TrainSettings,
)

if TYPE_CHECKING:
    from napari_atomseg.training import TrainingRecipe

_PERCENT = 100.0


def source_part(settings: TrainSettings, images: dict[str, Any] | None) -> dict[str, Any]:
    """Return the source that settings stand for, as a recipe's content.

    Parameters
    ----------
    images : a source of files with the images of layers; None if these are not learned from.
    """
    if settings.source == OPENED:
        return {}
    if settings.source == SIMULATED:
        named = "elements" in settings.tasks
        source = _simulated(settings, None) if named else None
        return {"simulation": settings.recipe, "source": source}
    return {"source": _mixed(settings, images)}


def source_settings(recipe: TrainingRecipe, others: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that stand for the source of a recipe; if none do, it stays as it is.

    Parameters
    ----------
    others : settings that stand for its tasks and its losses.
    """
    from napari_atomseg.training import load_recipe

    found = _guessed(recipe)
    guess = dataclasses.replace(TrainSettings(), **others, **found)
    if guess.source == OPENED:
        return found
    again = load_recipe(recipe.model_dump() | source_part(guess, None))
    same = (again.source, again.simulation) == (recipe.source, recipe.simulation)
    return found if same else {"source": OPENED}


def shipped_name(simulation: Any) -> str | None:
    """Return the name of the shipped recipe that this one is."""
    from napari_atomseg.simulation import load_recipe, recipes

    return next((name for name in recipes() if load_recipe(name) == simulation), None)


def _mixed(settings: TrainSettings, images: dict[str, Any] | None) -> dict[str, Any]:
    """Return a source that is mixed with simulated images, if so wished."""
    source = images or {"kind": settings.source, "folder": Path(settings.folder).expanduser()}
    source |= {"split": settings.split / _PERCENT}
    if settings.source in (ANNOTATED, FOLDER):
        source |= {"radius": settings.radius}
    if _named(settings) and settings.source != BLIND_SPOT:
        source |= {"species": _named(settings)}
    if not settings.share or settings.source == BLIND_SPOT:
        return source
    share = settings.share / _PERCENT
    return {
        "kind": "mixture",
        "parts": [source, _simulated(settings, source)],
        "weights": [1.0 - share, share],
        "partial": not settings.adversarial,
    }


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


def _guessed(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return settings that may stand for a recipe's source."""
    from napari_atomseg.training.sources import Folder, LibraryFolder, Mixture, Simulated

    source: Any = recipe.source
    simulation: Any = recipe.simulation
    found: dict[str, Any] = {"share": 0.0}
    if source is None or isinstance(source, Simulated):
        found["source"] = SIMULATED
        simulation = simulation if source is None else source.recipe
    elif isinstance(source, Mixture) and len(source.weights) == 2:
        source, simulated = source.parts
        found["share"] = _PERCENT * recipe.pairs.weights[1]
        simulation = getattr(simulated, "recipe", None)
    if isinstance(source, Folder | LibraryFolder):
        found |= {"source": source.kind, "folder": str(source.folder)}
        found |= {"split": _PERCENT * source.split, "radius": getattr(source, "radius", None)}
    if "elements" in recipe.tasks:
        found["elements"] = ", ".join(getattr(source, "species", ()))
    shipped = shipped_name(simulation)
    if shipped is not None:
        return {"source": OPENED} | found | {"recipe": shipped}
    simulated_too = found["share"] or found.get("source") == SIMULATED
    return {"source": OPENED} if simulated_too else {"source": OPENED} | found
