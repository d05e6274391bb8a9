"""Training recipes: everything that a weights file is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from napari_atomseg.ranges import Part
from napari_atomseg.simulation import SimulationRecipe
from napari_atomseg.simulation import load_recipe as load_simulation


class NetworkRecipe(Part):
    """Architecture and its arguments; the channels follow from the tasks."""

    name: str = "unet"
    arguments: dict[str, Any] = Field(default_factory=dict)


class OptimizerRecipe(Part):
    """AdamW with a linear warm-up and a cosine decay to `final_rate`."""

    rate: float = Field(1e-3, gt=0)
    final_rate: float = Field(1e-5, gt=0)
    warm_up: int = Field(200, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1)


class LossRecipe(Part):
    """Weights of the five tasks' losses."""

    denoise: float = 1.0
    denoise_background: float = 0.7
    superresolution: float = 0.5
    column_map: float = 1.0
    column_mask: float = 0.4


class TrainingRecipe(Part):
    """A training run.

    `steps` of `batch` crops of `crop`² pixels are simulated on the fly; every `validate_every`
    steps, `validation` fixed images that training never draws are scored and a checkpoint is
    written. `half` trains in bfloat16 where the processor computes faster so. `simulation` is the
    name or file of a simulation recipe, or the recipe itself, which may extend another.
    """

    name: str = "model"
    description: str = ""
    modality: str = "STEM"
    seed: int = 0
    steps: int = Field(10_000, gt=0)
    batch: int = Field(16, gt=0)
    crop: int = Field(128, ge=32)
    half: bool = True
    validate_every: int = Field(500, gt=0)
    validation: int = Field(48, gt=0)
    network: NetworkRecipe = NetworkRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    losses: LossRecipe = LossRecipe()
    simulation: Annotated[SimulationRecipe, BeforeValidator(load_simulation)] = SimulationRecipe()


def load_recipe(recipe: str | Path | dict[str, Any] | TrainingRecipe) -> TrainingRecipe:
    """A recipe from a YAML file, a dictionary, or a recipe.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        A value is out of range or a name unknown; the message says which.
    """
    if isinstance(recipe, TrainingRecipe):
        return recipe
    where = "recipe"
    if not isinstance(recipe, dict):
        where = str(recipe)
        try:
            recipe = yaml.safe_load(Path(recipe).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{where} is not a YAML file: {error}") from error
    try:
        return TrainingRecipe.model_validate(recipe)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ValueError(f"{where}: {faults}") from error
