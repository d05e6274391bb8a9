"""Simulation recipes: the ranges that scenes are drawn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field as Option
from pydantic import ValidationError, model_validator

from napari_atomseg._shared.plain_yaml import read_yaml_file
from napari_atomseg.distortion import AnyDistortion
from napari_atomseg.distortion.camera import HotPixels, Readout
from napari_atomseg.distortion.counting import Shot
from napari_atomseg.distortion.lines import LineNoise, ScanBlur
from napari_atomseg.distortion.scan import LineFrequency, ScanJitter
from napari_atomseg.imaging import AnyImaging, ContrastRecipe, LinearImaging
from napari_atomseg.ranges import Part, PositiveRange, faults, log_uniform
from napari_atomseg.simulation.background import BackgroundRecipe
from napari_atomseg.specimen import Field, Specimen
from napari_atomseg.specimen.columns import SPARROW
from napari_atomseg.specimen.recipes import AnySpecimen
from napari_atomseg.specimen.recipes.columns import ColumnsSpecimen
from napari_atomseg.specimen.specimen import SpecimenRecipe

TargetName = Literal[
    "circular_mask",
    "small_circular_mask",
    "gaussian_mask",
    "no_noise",
    "no_background_no_noise",
    "no_noise_no_background_superresolution",
    "no_noise_upinterpolation_2x",
    "no_noise_no_background_upinterpolation_2x",
]
SHIPPED = Path(__file__).parent / "recipes"


class FieldRecipe(Part):
    """Size of a pixel: `sampling` in Å, its logarithm drawn evenly, or one of `fields_of_view`, the
    width of the image in Å, where any are given.
    """

    sampling: PositiveRange = (0.04, 0.5)
    fields_of_view: tuple[Annotated[float, Option(gt=0)], ...] = ()

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> float:
        """Å a pixel for an image of `shape`."""
        if self.fields_of_view:
            return self.fields_of_view[rng.integers(len(self.fields_of_view))] / shape[1]
        return log_uniform(rng, self.sampling)


class MixedSpecimen(SpecimenRecipe):
    """One of several specimens, chosen with the given weights (evenly where there are none)."""

    kind: Literal["mixture"] = "mixture"
    parts: Annotated[tuple[AnySpecimen, ...], Option(min_length=1)]
    weights: tuple[Annotated[float, Option(ge=0)], ...] = ()

    @model_validator(mode="after")
    def _one_weight_a_part(self) -> MixedSpecimen:
        if self.weights and (len(self.weights) != len(self.parts) or not sum(self.weights) > 0):
            raise ValueError(f"weights {self.weights} must be {len(self.parts)}, not all zero")
        return self

    def draw(self, rng: np.random.Generator, field: Field) -> Specimen:
        """A specimen of the part that chance chose."""
        weights = np.array(self.weights or np.ones(len(self.parts)))
        return self.parts[rng.choice(len(self.parts), p=weights / weights.sum())].draw(rng, field)


class TargetsRecipe(Part):
    """Which ground truth is rendered, and how wide its discs and spots are.

    The radius of `circular_mask` is half the width of a lone peak, limited so that no discs touch,
    or that of the aperture and the source (`targets.aperture_radius`). The spots of `gaussian_mask`
    have `spot_fwhm` Å, or a fixed share of the peak's width where that is None. Two equal columns
    closer than `resolution` times the sigma of the peak are one in the truth; with 0, none are.
    """

    names: tuple[TargetName, ...] = (
        "circular_mask",
        "small_circular_mask",
        "gaussian_mask",
        "no_noise",
        "no_background_no_noise",
        "no_noise_no_background_superresolution",
        "no_noise_upinterpolation_2x",
        "no_noise_no_background_upinterpolation_2x",
    )
    radius: Literal["peak", "aperture"] = "peak"
    spot_fwhm: Annotated[float, Option(gt=0)] | None = None
    resolution: Annotated[float, Option(ge=0)] = SPARROW


class SimulationRecipe(Part):
    """Everything a training or test image is drawn from; sample i of a seed is always the same.

    The parts follow the image: specimen, imaging, contrast and background, then the distortions in
    the order in which they are listed.
    """

    name: str = "columns"
    description: str = ""
    modality: Literal["STEM", "TEM", "SEM"] = "STEM"
    shape: tuple[Annotated[int, Option(ge=16)], Annotated[int, Option(ge=16)]] = (256, 256)
    field: FieldRecipe = FieldRecipe()
    specimen: Annotated[AnySpecimen | MixedSpecimen, Option(discriminator="kind")] = (
        ColumnsSpecimen()
    )
    imaging: AnyImaging = LinearImaging()
    background: BackgroundRecipe | None = BackgroundRecipe()
    contrast: ContrastRecipe | None = None
    distortions: tuple[AnyDistortion, ...] = (
        ScanJitter(probability=0.7, sigma=(0.0, 0.35), unit="width", odds=(0.0, 0.0, 1.0)),
        LineFrequency(probability=0.3, amplitude=(0.0, 0.25), unit="width"),
        Shot(probability=0.97, electrons_per_column=(60.0, 3e5), spread="log-uniform"),
        ScanBlur(probability=0.2),
        LineNoise(probability=0.25),
        Readout(probability=0.3, sigma=(0.0, 0.15)),
        HotPixels(probability=0.08),
    )
    targets: TargetsRecipe = TargetsRecipe()


def recipes() -> list[str]:
    """Names of the recipes that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_recipe(
    recipe: str | Path | dict[str, Any] | SimulationRecipe, folder: Path | None = None
) -> SimulationRecipe:
    """A recipe by its shipped name, from a YAML file, from a dictionary, or as it is.

    A file or dictionary may have ``extends: NAME`` (or the path of another file) and give only what
    differs: a value inside a part replaces that value of the part; a part of another `kind`
    and a list are replaced whole. Paths in a file are relative to the folder of that file.

    Parameters
    ----------
    folder : folder that paths of files and in dictionaries are relative to; by default the
        working folder.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        A name is unknown or a value out of range; the message names it.
    """
    if isinstance(recipe, SimulationRecipe):
        return recipe
    where = "recipe" if isinstance(recipe, dict) else str(recipe)
    try:
        return SimulationRecipe.model_validate(_extended(recipe, folder, ()))
    except ValidationError as error:
        raise ValueError(f"{where}: {faults(error)}") from error


def _extended(
    recipe: str | Path | dict[str, Any], folder: Path | None, seen: tuple[Path, ...]
) -> dict[str, Any]:
    if not isinstance(recipe, dict):
        path = _file(recipe, folder)
        if path.resolve() in seen:
            raise ValueError(f"recipe {recipe} extends itself")
        recipe, folder, seen = _read(path), path.parent, (*seen, path.resolve())
    own = {k: _anchored(v, folder) for k, v in recipe.items() if k != "extends"}
    if "extends" not in recipe:
        return own
    return _merged(_extended(recipe["extends"], folder, seen), own)


def _anchored(content: Any, folder: Path | None) -> Any:
    """Return the content of a recipe, with the crystals' files in a folder."""
    if isinstance(content, list | tuple):
        return [_anchored(each, folder) for each in content]
    if folder is None or not isinstance(content, dict):
        return content
    return {
        key: str(folder / value)
        if key == "crystal" and isinstance(value, str) and Path(value).suffix
        else _anchored(value, folder)
        for key, value in content.items()
    }


def _file(recipe: str | Path, folder: Path | None) -> Path:
    """The file of a recipe, by its name or its path."""
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        return path if folder is None else folder / path
    if str(recipe) not in recipes():
        raise ValueError(
            f"recipe={str(recipe)!r} is not known; choose one of {', '.join(recipes())} or "
            "give the path of a .yaml file"
        )
    return SHIPPED / f"{recipe}.yaml"


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping of a recipe's parts")
    return content


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        ):
            value = _merged(old, value)
        result[key] = value
    return result
