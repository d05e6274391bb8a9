"""Pairs that are simulated on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import BeforeValidator, ValidationInfo
from torch import Tensor

from napari_atomseg.ranges import folder_of
from napari_atomseg.simulation import Scene, SimulationRecipe, draw_scene, render
from napari_atomseg.simulation import load_recipe as load_simulation
from napari_atomseg.simulation.recipe import TargetName
from napari_atomseg.simulation.targets import element_maps
from napari_atomseg.training.sources.base import (
    ELEMENTS,
    PICTURED,
    VALIDATION,
    PairBatch,
    SourcePart,
    Stream,
    chosen,
)


def _loaded(recipe: Any, info: ValidationInfo) -> SimulationRecipe:
    return load_simulation(recipe, folder_of(info))


AnySimulation = Annotated[SimulationRecipe, BeforeValidator(_loaded)]
"""Name or file of a simulation recipe, or the recipe itself, which may extend another."""


class Simulated(SourcePart):
    """Pairs drawn from a simulation recipe.

    Attributes
    ----------
    recipe : name or file of a simulation recipe, or the recipe itself, which may extend another.
    species : names of the species that have a channel in `elements`, as "SrO"; columns of others
        are in no channel. Without any, there are no `elements`.
    without : targets that it does not give, because they mean nothing in its images, such as the
        background of a film that fills the image. The mixture it is part of must be `partial`.
    """

    kind: Literal["simulated"] = "simulated"
    label = "simulated images"
    recipe: AnySimulation = SimulationRecipe()
    species: tuple[str, ...] = ()
    without: tuple[TargetName, ...] = ()

    def open(self, seed: int, targets: Sequence[str] | None = None) -> SimulatedSource:
        """See `SourcePart.open`."""
        return SimulatedSource(self.recipe, seed, targets, self.species, self.without)


class SimulatedSource(Stream):
    """The samples of a simulation recipe and a seed."""

    def __init__(
        self,
        recipe: SimulationRecipe,
        seed: int = 0,
        targets: Sequence[str] | None = None,
        species: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
    ) -> None:
        given = [name for name in PICTURED if name != ELEMENTS or species]
        available = [name for name in given if name not in without]
        super().__init__(chosen(available, targets, f"the simulation {recipe.name!r}"), species)
        names = tuple(name for name in get_args(TargetName) if name in self.targets)
        wanted = recipe.targets.model_copy(update={"names": names})
        self._recipe, self._seed = recipe.model_copy(update={"targets": wanted}), seed

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
        return self._rendered(self._seed, indices, crop, device)

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""
        return self._rendered(self._seed + VALIDATION, range(count), crop, device)

    def _rendered(self, seed: int, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        scenes = [draw_scene(self._recipe, seed, index, (crop, crop)) for index in indices]
        batch = render(scenes, device)
        truth = {name: batch.targets[name][:, None] for name in self.targets if name != ELEMENTS}
        if ELEMENTS in self.targets:
            maps = [species_maps(scene, self.species) for scene in scenes]
            truth[ELEMENTS] = torch.stack(maps).to(device)
        return PairBatch(batch.image[:, None], truth)


def species_maps(scene: Scene, species: Sequence[str]) -> Tensor:
    """(E, H, W) discs about the columns of each of the named species, a channel each."""
    groups, maps = element_maps(scene)
    of_name = dict(zip(groups, maps, strict=True))
    none = torch.zeros(scene.view.shape)
    return torch.stack([of_name.get(name, none) for name in species])


def simulated_species(recipe: SimulationRecipe, scenes: int = 16) -> tuple[str, ...]:
    """Names of the species that the first scenes of a recipe show, brightest first."""
    groups = [element_maps(draw_scene(recipe, 0, index))[0] for index in range(scenes)]
    return tuple(dict.fromkeys(name for group in groups for name in group))
