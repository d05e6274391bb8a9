"""The settings of the Train panel, and the training recipes that they stand for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.layer_pairs import Pair
from napari_atomseg._napari.preferences import preferences
from napari_atomseg.simulation.arguments import argument

if TYPE_CHECKING:
    from napari_atomseg.training import TrainingRecipe

BATCHES, OPTIMIZER = "Batches and validation", "Optimization"
TASKS = ("denoise", "denoise_background", "superresolution", "column_map", "column_mask")
SIMULATED, LIBRARY, FOLDER, ANNOTATED, BLIND_SPOT, OPENED = (
    "simulated",
    "library",
    "folder",
    "annotated",
    "blind_spot",
    "",
)
"""Where images and truth come from; the last one is what an opened recipe says."""
_AS_PREFERRED = "preferences"
_LARGEST = 2**31 - 1
_APGAN = {
    "losses": ({"kind": "ssim"}, {"kind": "psnr"}),
    "adversarial": {
        "loss": {"kind": "least_squares"},
        "discriminator": "apgan_discriminator",
    },
}
"""Losses of every task and the discriminator of the AP-GAN paper (Chen et al. 2023)."""


@dataclass(frozen=True)
class TrainSettings:
    """A name, a source of images with their truth, a network, and how long it is trained."""

    name: str = argument("my-model", "Name", "Of the model, under which panels will offer it.")
    source: str = argument(
        SIMULATED,
        "Learn from",
        "Simulated images; a library on disk; layers of this viewer and what is known about them;\n"
        "a folder of images; or images alone, that are denoised without any truth (Noise2Void).",
        choices={
            SIMULATED: "simulated images",
            LIBRARY: "a library",
            ANNOTATED: "layers with truth",
            FOLDER: "a folder of images",
            BLIND_SPOT: "layers without truth",
            OPENED: "as in the opened recipe",
        },
    )
    recipe: str = argument("columns", "Recipe", "What is simulated: a recipe, or a YAML file.")
    folder: str = argument("", "Folder", "Of the library, or of the images.")
    pairs: tuple[Pair, ...] = argument((), "Images", "The layers to learn from.")
    species: str = argument(
        "", "Species", "Feature of the points that names their species; empty: a layer a species."
    )
    share: float = argument(
        0.0,
        "Simulated",
        "How many of the images are simulated by the recipe, beside the others.",
        unit="%",
        accepted=(0.0, 95.0),
    )
    tasks: tuple[str, ...] = argument(TASKS, "Tasks", "What the network shall learn.")
    network: str = argument("unet", "Network", "The architecture.")
    initial: str = argument(
        "", "Start from", "Random weights, or a model that shall learn more (fine-tuning)."
    )
    steps: int = argument(
        3000, "Steps", "How long; each step learns from one batch.", accepted=(1, _LARGEST)
    )
    resume: bool = argument(
        True, "Resume", "Go on with a training of this name that was stopped, if there is one."
    )
    device: str = argument(
        _AS_PREFERRED,
        "Device",
        "Where to compute.",
        choices={
            _AS_PREFERRED: "as in Preferences",
            "auto": "automatic",
            "cpu": "CPU",
            "cuda": "GPU (CUDA)",
            "mps": "GPU (Apple)",
        },
    )
    batch: int = argument(16, "Batch", "Images a step.", BATCHES, accepted=(1, 4096))
    crop: int = argument(
        128, "Crop", "Side of the images that are learned from.", BATCHES, "px", (32, 4096)
    )
    validate_every: int = argument(
        250, "Validate after", "How many steps, each time.", BATCHES, "steps", (1, _LARGEST)
    )
    validation: int = argument(
        32, "Validate on", "So many images that are not learned from.", BATCHES, accepted=(1, 65536)
    )
    patience: int | None = argument(
        None,
        "Patience",
        "After how many validations without a lower loss the training stops.",
        BATCHES,
        accepted=(0, 10_000),
        nothing="never stop early",
    )
    workers: int = argument(
        0, "Processes", "That prepare images ahead of the training.", BATCHES, accepted=(0, 256)
    )
    seed: int = argument(0, "Seed", "Another seed draws others.", BATCHES, accepted=(0, _LARGEST))
    objective: str = argument(
        "usual",
        "Losses",
        "The usual losses of the tasks, or SSIM and PSNR against a discriminator (AP-GAN), which\n"
        "suits small sets of annotated images.",
        OPTIMIZER,
        choices={
            "usual": "usual",
            "apgan": "AP-GAN",
            OPENED: "as in the opened recipe",
        },
    )
    rate: float = argument(
        1e-3,
        "Rate",
        "How far a step goes, after the warm-up.",
        OPTIMIZER,
        accepted=(1e-6, 1.0),
        logarithmic=True,
    )
    half: bool = argument(
        True, "Half precision", "Where the processor computes faster so.", OPTIMIZER
    )

    @property
    def chosen_device(self) -> str:
        """Name of the device, that of Preferences if none is chosen."""
        return preferences().device if self.device == _AS_PREFERRED else self.device


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
    if not settings.share:
        return source
    share = settings.share / 100.0
    simulated = {"kind": "simulated", "recipe": settings.recipe}
    return {"kind": "mixture", "parts": [source, simulated], "weights": [1.0 - share, share]}


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
