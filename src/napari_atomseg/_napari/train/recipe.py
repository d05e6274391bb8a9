"""Training recipes in the Train panel: the settings that it shows, and the recipe they make.

The settings are those of the recipe's own parts; only the source, the losses and the choice of
layers have inputs of the panel's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, create_model

from napari_atomseg import weights
from napari_atomseg._napari.forms.inputs import NO_FOLDER, chosen_folder
from napari_atomseg._napari.train.layers import Pair
from napari_atomseg._shared.plain_yaml import read_yaml
from napari_atomseg.networks.tasks import TASKS
from napari_atomseg.ranges import FOLDER as RECIPE_FOLDER
from napari_atomseg.ranges import Part
from napari_atomseg.settings import Setting, Settings, fields_of, setting
from napari_atomseg.simulation import load_recipe as load_simulation
from napari_atomseg.simulation import recipes
from napari_atomseg.training import TrainingRecipe, load_recipe
from napari_atomseg.training.losses import AnyAdversarial
from napari_atomseg.training.recipe import (
    BATCHES,
    LOSSES,
    OPTIMIZATION,
    AdversarialRecipe,
    OptimizerRecipe,
)
from napari_atomseg.training.sources import (
    AnySource,
    Augmentation,
    Simulated,
    SourceMixture,
    SourcePart,
    simulated_species,
)
from napari_atomseg.training.sources.augmentation import SECTION as AUGMENTATION

START = TrainingRecipe(
    name="my-model",
    steps=3000,
    validate_every=250,
    validation=32,
    simulation=load_simulation("columns"),
)
"""The recipe that a new panel shows."""
SOURCES: dict[str, type[SourcePart]] = {
    part.model_fields["kind"].default: part
    for part in get_args(get_args(AnySource)[0])
    if part.label
}
"""Sources that the panel offers, by kind."""
SIMULATED, ANNOTATED, BLIND_SPOT, OPENED = "simulated", "annotated", "blind_spot", ""
"""Kinds of sources that the panel treats in a way of their own; `OPENED` is any other one of an
opened recipe, which is left as it is."""
USUAL, APGAN, OWN = "usual", "apgan", "own"
_ADVERSARIES = get_args(get_args(AnyAdversarial)[0])
_APGAN: dict[str, Any] = {
    "losses": [{"kind": "ssim"}, {"kind": "psnr"}],
    "adversarial": {
        "loss": {"kind": "least_squares"},
        "discriminator": "apgan_discriminator",
    },
}
"""Losses of every task and the discriminator of the AP-GAN paper (Chen et al. 2023)."""
_UNCHANGED = Augmentation(flips=False, right_angles=False)
"""Leaves images as they are, as no augmentation does."""
_PARTS: dict[str, type[Part]] = {
    "optimizer": OptimizerRecipe,
    "augmentation": Augmentation,
    "": TrainingRecipe,
}
"""Parts of a recipe, by their field in it, whose settings have the same names in the panel."""
_PREFIX = "adversarial_"
"""Begins the names of the settings of `AdversarialRecipe` in the panel."""


class _Own(Settings):
    """Settings that stand for several fields of a recipe, or for none."""

    source: str = setting(
        SIMULATED,
        "Learn from",
        "Simulated images; a library on disk; layers of this viewer with marked columns; a folder\n"
        "of images; or layers of noisy images alone, which are denoised without any truth\n"
        "(Noise2Void).",
        choices={
            **{
                kind: f"{part.label} (layers)" if "images" in part.model_fields else part.label
                for kind, part in SOURCES.items()
            },
            OPENED: "as in the opened recipe",
        },
    )
    recipe: str = setting("columns", "Simulation recipe", "Name of a recipe, or its YAML file.")
    folder: Path | None = setting(
        None, "Folder", "Folder of the library or of the images.", none=NO_FOLDER
    )
    pairs: tuple[Pair, ...] = setting((), "Images", "Layers to learn from.")
    species: str = setting(
        "",
        "Species feature",
        "Feature of the points that names their species; empty: a layer a species.",
    )
    share: float = setting(
        0.0,
        "Simulated share",
        "Share of the images that is simulated by the recipe, beside the others.",
        limits=(0.0, 0.95),
    )
    elements: str = setting(
        "", "Elements", "Names of the species with a map each, as Ti, Pb; empty: all of them."
    )
    network: str = setting("unet", "Network", "Architecture of the network.")
    initial: str = setting(
        "", "Start from", "Random weights, or a model that learns more (fine-tuning)."
    )
    resume: bool = setting(
        True, "Resume", "Go on with a training of this name that was stopped, if there is one."
    )
    device: str = setting(
        "preferences",
        "Device",
        "Where to compute.",
        choices={
            "preferences": "as in Preferences",
            "auto": "automatic",
            "cpu": "CPU",
            "cuda": "GPU (CUDA)",
            "mps": "GPU (Apple)",
        },
    )
    objective: str = setting(
        USUAL,
        "Losses",
        "The usual losses of the tasks; SSIM and PSNR against a discriminator (AP-GAN), which\n"
        "suits small sets of annotated images; or the losses chosen below.",
        choices={USUAL: "usual", APGAN: "AP-GAN", OWN: "my own, as below"},
        section=LOSSES,
    )
    losses: dict[str, Any] = setting(
        {}, "", "Tasks that have no loss here have their usual one.", section=LOSSES
    )
    adversarial: str | None = setting(
        None,
        "Adversarial loss",
        "A discriminator learns to distinguish the network's maps from true ones, and the\n"
        "network to deceive it.",
        choices={part.model_fields["kind"].default: part.label for part in _ADVERSARIES},
        none="none",
        section=LOSSES,
    )
    adversarial_weight: float | None = setting(
        None,
        "Loss weight",
        "Weight of the adversarial loss, beside the others.",
        limits=(0.0, 1e6),
        none="usual",
        section=LOSSES,
    )
    arguments: str = setting(
        "",
        "Network arguments",
        "Arguments of the network that differ from its own, as widths: [16, 32, 64].",
        section="Advanced",
    )
    tensorboard: bool = setting(
        False,
        "TensorBoard",
        "Write the curves for TensorBoard, too, beside the recipe.",
        section="Advanced",
    )


_FIRST = (
    *("name", "source", "recipe", "folder", "pairs", "species", "share", "tasks", "elements"),
    *("network", "initial", "steps", "resume", "device"),
)
"""Settings above the sections, in their order."""
_SECTIONS = ("", BATCHES, AUGMENTATION, LOSSES, OPTIMIZATION, "Advanced")


def _panel_settings() -> type[Settings]:
    """Return a class with the settings of all parts, in the order in which the panel shows them."""
    found: dict[str, tuple[Any, Setting]] = {}
    every: list[type[BaseModel]] = [_Own, *_PARTS.values(), *SOURCES.values(), AdversarialRecipe]
    for part in every:
        prefix = _PREFIX if part is AdversarialRecipe else ""
        for name, known in fields_of(part).items():
            found[prefix + name] = part.model_fields[name], known

    def place(name: str) -> tuple[int, int]:
        row = _FIRST.index(name) if name in _FIRST else len(_FIRST)
        return _SECTIONS.index(found[name][1].section), row

    fields: dict[str, Any] = {
        name: (found[name][0].annotation, found[name][0]) for name in sorted(found, key=place)
    }
    return create_model("TrainSettings", __base__=Settings, **fields)


TrainSettings = _panel_settings()

Values = Mapping[str, Any]
"""Values of the settings by name."""


def values_of(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the values of the settings that stand for a recipe."""
    values: dict[str, Any] = {"arguments": arguments_text(recipe.network.arguments)}
    for place, part in _PARTS.items():
        given = (getattr(recipe, place) or _UNCHANGED) if place else recipe
        values |= {name: getattr(given, name) for name in fields_of(part)}
    values["network"] = recipe.network.name
    values["initial"] = str(recipe.initial) if recipe.initial else ""
    values |= _objective_values(recipe)
    return values | _source_values(recipe, values)


def recipe_of(
    values: Values, base: TrainingRecipe, images: dict[str, Any] | None
) -> TrainingRecipe:
    """Return the recipe that values of the settings stand for.

    Parameters
    ----------
    base : recipe that holds for everything without a setting.
    images : source of files with the images of layers, as a recipe's content; None if these are
        not learnt from.

    Raises
    ------
    ValueError
        A value is out of range, or values do not fit each other.
    """
    content = base.model_dump()
    for place, part in _PARTS.items():
        changed = {name: values[name] for name in fields_of(part)}
        content |= {place: (content[place] or {}) | changed} if place else changed
    if set(base.tasks) == set(values["tasks"]):
        content["tasks"] = base.tasks
    if base.augmentation is None and Augmentation(**content["augmentation"]) == _UNCHANGED:
        content["augmentation"] = None
    content["network"] = {
        "name": values["network"],
        "arguments": _arguments(values["arguments"]),
    }
    initial = weights.resolve(values["initial"]) if values["initial"] else None
    if initial != base.initial:
        content |= {"initial": initial, "initial_sha256": None}
    content |= _objective(values, base, content["tasks"])
    return load_recipe(content | _source(values, images))


def recipe_text(recipe: TrainingRecipe, folder: Path) -> str:
    """Return a recipe as YAML that `napari-atomseg train` reads: what differs from the defaults.

    Parameters
    ----------
    folder : of the file, an absolute path; files in it are named relative to it.
    """
    content = recipe.model_dump(mode="json", context={RECIPE_FOLDER: folder})
    usual = TrainingRecipe(tasks=recipe.tasks).model_dump(mode="json")
    usual["tasks"] = list(TASKS)
    kept = {n: v for n, v in content.items() if v != usual[n] or n in ("name", "seed", "steps")}
    shipped = _shipped_name(recipe.simulation)
    if "simulation" in kept and shipped is not None:
        kept["simulation"] = shipped
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def rows_of(source: str) -> dict[str, bool]:
    """Return which rows a source needs, of those that only some need."""
    fields = SOURCES[source].model_fields if source in SOURCES else {}
    mixes = "species" in fields and source != SIMULATED
    return {
        "recipe": "recipe" in fields,
        "folder": "folder" in fields,
        "pairs": "images" in fields,
        "species": mixes and "images" in fields,
        "share": mixes,
    }


def arguments_text(arguments: dict[str, Any]) -> str:
    """Return a network's arguments in a line, as the user types them."""
    if not arguments:
        return ""
    text = yaml.safe_dump(arguments, default_flow_style=True, sort_keys=False, width=10**6)
    return str(text).strip()[1:-1]


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = read_yaml(f"{{{text}}}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or any(value is None for value in found.values()):
        raise ValueError(
            f"arguments={text!r} of the network must be like 'widths: [16, 32, 64]', with commas "
            "between several"
        )
    return found


def _objective(values: Values, base: TrainingRecipe, tasks: tuple[str, ...]) -> dict[str, Any]:
    """Return the losses and the discriminator, as a recipe's content."""
    if values["objective"] == USUAL:
        return {"losses": {}, "adversarial": None}
    if values["objective"] == APGAN:
        return _APGAN | {"losses": dict.fromkeys(tasks, _APGAN["losses"])}
    losses = {task: some for task, some in values["losses"].items() if task in tasks}
    if values["adversarial"] is None:
        return {"losses": losses, "adversarial": None}
    chosen = {name: values[_PREFIX + name] for name in fields_of(AdversarialRecipe)}
    given = base.adversarial
    # The arguments and the optimizer of a discriminator are not those of another one.
    same = given is not None and given.discriminator == chosen["discriminator"]
    kept: dict[str, Any] = given.model_dump() if given is not None and same else {}
    weight = values["adversarial_weight"]
    loss = {"kind": values["adversarial"]} | ({} if weight is None else {"weight": weight})
    return {"losses": losses, "adversarial": kept | chosen | {"loss": loss}}


def _objective_values(recipe: TrainingRecipe) -> dict[str, Any]:
    part = recipe.adversarial
    given = part or AdversarialRecipe()
    found: dict[str, Any] = {
        "losses": {},
        "adversarial": part.loss.kind if part else None,
        "adversarial_weight": part.loss.weight if part else None,
        **{_PREFIX + name: getattr(given, name) for name in fields_of(AdversarialRecipe)},
    }
    for name in (USUAL, APGAN):
        other = load_recipe(
            {"tasks": recipe.tasks, **_objective({"objective": name}, recipe, recipe.tasks)}
        )
        if (other.losses, other.adversarial) == (recipe.losses, recipe.adversarial):
            return found | {"objective": name, "adversarial": None, "adversarial_weight": None}
    usual = load_recipe({"tasks": recipe.tasks}).losses
    for task, losses in recipe.losses.items():
        if losses != usual[task]:
            found["losses"][task] = [
                {"kind": loss.kind, **loss.model_dump(mode="json", exclude_defaults=True)}
                for loss in losses
            ]
    return found | {"objective": OWN}


def _source(values: Values, images: dict[str, Any] | None) -> dict[str, Any]:
    """Return the source, as a recipe's content; nothing where it stays that of the base."""
    kind, named = values["source"], "elements" in values["tasks"]
    if kind == OPENED:
        return {}
    if kind == SIMULATED:
        source = _simulated(values, None) if named else None
        return {"simulation": values["recipe"], "source": source}
    part = SOURCES[kind]
    source = {"kind": kind} | (images or {}) | {name: values[name] for name in fields_of(part)}
    if "folder" in part.model_fields:
        source["folder"] = chosen_folder(values["folder"])
    if "species" in part.model_fields and _named(values):
        source["species"] = _named(values)
    share = values["share"] if rows_of(kind)["share"] else 0.0
    if not share:
        return {"source": source}
    adversarial = _objective(values, START, values["tasks"])["adversarial"]
    mixture = {
        "kind": "mixture",
        "parts": [source, _simulated(values, source)],
        "weights": [1.0 - share, share],
        "partial": adversarial is None,
    }
    return {"source": mixture}


def _simulated(values: Values, beside: dict[str, Any] | None) -> dict[str, Any]:
    """Return a simulated source, with the species of the source beside it if there is one."""
    species = _named(values)
    if "elements" in values["tasks"] and not species:
        if beside is None:
            species = simulated_species(load_simulation(values["recipe"]))
        else:
            species = beside.get("species", ())
    return {"kind": SIMULATED, "recipe": values["recipe"], "species": species}


def _named(values: Values) -> tuple[str, ...]:
    """Return the species that the user has named, where maps of species are to be learnt."""
    names = values["elements"].split(",") if "elements" in values["tasks"] else ()
    return tuple(name.strip() for name in names if name.strip())


def _source_values(recipe: TrainingRecipe, others: Values) -> dict[str, Any]:
    """Return the values that stand for a source; if none do, it stays that of the recipe."""
    known = fields_of(TrainSettings)
    names = [*rows_of(OPENED), "elements", "split", "radius"]
    found = {name: known[name].default for name in names} | _recognised(recipe)
    if found["source"] == OPENED:
        return found
    content = recipe.model_dump() | _source({**others, **found}, None)
    made = load_recipe(content)
    same = (made.source, made.simulation) == (recipe.source, recipe.simulation)
    return found if same else found | {"source": OPENED}


def _recognised(recipe: TrainingRecipe) -> dict[str, Any]:
    """Return values that may stand for a source."""
    source: Any = recipe.source or Simulated(recipe=recipe.simulation)
    simulation: Any = getattr(source, "recipe", None)
    found: dict[str, Any] = {}
    if isinstance(source, SourceMixture) and len(source.weights) == 2:
        found["share"] = source.weights[1]
        source, simulated = source.parts
        simulation = getattr(simulated, "recipe", None)
    shipped = _shipped_name(simulation)
    if shipped is not None:
        found["recipe"] = shipped
    elif simulation is not None:
        return {"source": OPENED}
    # Layers cannot be told from the files of their images.
    offered = source.kind in SOURCES and not hasattr(source, "images")
    if not offered:
        return found | {"source": OPENED}
    found |= {name: getattr(source, name) for name in fields_of(SOURCES[source.kind])}
    if hasattr(source, "folder"):
        found["folder"] = source.folder
    if "elements" in recipe.tasks:
        found["elements"] = ", ".join(source.species)
    return found | {"source": source.kind}


def _shipped_name(simulation: Any) -> str | None:
    """Return the name of the shipped recipe that this one is."""
    return next((name for name in recipes() if load_simulation(name) == simulation), None)
