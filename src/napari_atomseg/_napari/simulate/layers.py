"""Simulated images as layers: the image and the truth, in one place, saying how they were made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._napari.layers import image_layer, labels_layer, points_layer, sampled
from napari_atomseg.io import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Layer


def simulation_layers(
    simulation: Any,
    *,
    add_ideal: bool = False,
    add_masks: bool = False,
    add_columns: bool = False,
) -> list[Layer]:
    """Return the layers of a simulation: the image and, if wanted, the truth.

    Parameters
    ----------
    simulation : what `simulate` or `sample` gives.
    add_ideal : whether the undistorted image comes too, below the other.
    add_masks : whether a label image comes too, one label a column; hidden at first.
    add_columns : whether the true positions come too, as points.
    """
    name = title(simulation.settings)
    place = sampled(simulation.sampling)
    made = provenance("simulate", name, simulation.settings)
    layers: list[Layer] = [image_layer(simulation.image, name, place, made)]
    if add_ideal:
        layers.insert(0, image_layer(simulation.ideal, f"{name} ideal", place, made))
    if add_masks:
        layers.append(_masks(simulation, f"{name} masks", place, made))
    if add_columns:
        layers.append(
            points_layer(
                simulation.columns, f"{name} true columns", place, made, colour_by="elements"
            )
        )
    return layers


def title(settings: Mapping[str, Any]) -> str:
    """Return a short name: crystal and zone axis, or recipe and number."""
    recipe = settings.get("recipe")
    if recipe:
        name = recipe["name"] if isinstance(recipe, dict) else Path(recipe).stem
        return f"{name} {settings['index']}"
    crystal = settings["crystal"]
    formula = getattr(crystal, "get_chemical_formula", None)
    name = str(formula()) if formula is not None else Path(crystal).stem
    return f"{name} [{direction(settings['zone_axis'])}]"


def specimen_name(facts: Mapping[str, Any]) -> str:
    """Return what a recipe has drawn: the material, and the zone axis where there is one."""
    axis = facts["zone_axis"]
    return f"{facts['material']} [{direction(axis)}]" if any(axis) else str(facts["material"])


def area(height: float, width: float) -> str:
    """Return a field of view in Å, to three digits or to whole ones."""
    sides = [f"{side:.3g}" if side < 100 else f"{side:.0f}" for side in (height, width)]
    return " × ".join(sides) + " Å"


def direction(zone_axis: Any) -> str:
    """Return indices as crystallographers write them, apart where one has two digits or a sign."""
    indices = [str(index) for index in zone_axis]
    return ("" if all(len(index) == 1 for index in indices) else " ").join(indices)


def _masks(simulation: Any, name: str, place: dict[str, Any], made: dict[str, Any]) -> Layer:
    from napari_atomseg.simulation.result import label_columns

    positions = simulation.columns[["y", "x"]].to_numpy(dtype=float)
    labels = label_columns(simulation.targets["circular_mask"], positions)
    layer = labels_layer(labels, name, place, made)
    layer.visible = False
    return layer
