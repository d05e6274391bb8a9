"""The Measure panel names the zone axis and the elements of a crystal that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase.io import write

from napari_atomseg._napari.layers import points_layer, sampled
from napari_atomseg.specimen.crystals.builtin import get_crystal
from napari_atomseg.specimen.crystals.projection import project

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0
SAMPLING = 0.1

pytestmark = pytest.mark.usefixtures("qtbot")


def add(viewer: Any, sampling: float | None = SAMPLING) -> Any:
    """SrTiO3 along [1 1 0], its oxygen not seen."""
    lattice = project(get_crystal("SrTiO3"), (1, 1, 0)).rotated(12.0)
    columns = lattice.fill(np.zeros(2), np.full(2, 35.0), np.full(2, 17.0))
    columns = columns.select(columns.weight > 100)
    rng = np.random.default_rng(0)
    places = (columns.points + rng.normal(0.0, 0.03, columns.points.shape)) / SAMPLING
    table = pd.DataFrame(places, columns=["y", "x"])
    table["volume"] = columns.weight * rng.normal(1.0, 0.02, len(table))
    layer = points_layer(table, "columns", sampled(sampling), {})
    viewer.add_layer(layer)
    return layer


def measure(panel: Any, **settings: Any) -> Any:
    panel.measure = "lattice"
    for name, value in settings.items():
        setattr(panel, name, value)
    return panel.run().result(PATIENCE)


def text(panel: Any) -> str:
    return str(panel.results.text.toPlainText())


def test_no_crystal_is_compared_unless_one_is_chosen(dock: OpenPanel, viewer: Any) -> None:
    layer, panel = add(viewer), dock("Measure")
    choice = panel.page.form.inputs["crystal"]
    assert (panel.crystal, choice.currentText()) == ("", "none")
    offered = [choice.itemText(i) for i in range(choice.count())]
    assert "SrTiO3" in offered
    assert "amorphous carbon" not in offered
    measured = measure(panel)
    assert set(layer.features["species"]) == {"A", "B"}
    assert list(measured.report.tables) == ["Cells"]
    assert choice.isVisibleTo(panel)
    panel.measure = "strain"
    assert not choice.isVisibleTo(panel)


@pytest.mark.slow
def test_zone_axis_directions_and_elements_are_told(dock: OpenPanel, viewer: Any) -> None:
    layer, panel = add(viewer), dock("Measure")
    measured = measure(panel, crystal="SrTiO3")
    said = text(panel)
    assert "SrTiO3 along [1 1 0]" in said
    assert "a lies along [1 -1 0], b along [0 0 1]" in said
    assert "misfit: lengths" in said
    assert "sublattice 2: no column at" in said
    zones = measured.report.tables["Zone axis"]
    assert abs(zones["length_misfit_percent"].iloc[0]) < 0.3
    names = layer.features["species"]
    assert set(names) == {"SrO", "Ti"}
    volume = layer.features["volume"].groupby(names).median()
    assert volume["SrO"] > volume["Ti"]
    # The names of the elements can be edited like others.
    assert panel.results.species.item(1, 0).text() == "Ti"
    panel.results.species.item(1, 0).setText("Ti, tilted")
    assert set(layer.features["species"]) == {"SrO", "Ti, tilted"}


@pytest.mark.slow
def test_a_pixel_of_unknown_size_is_told(dock: OpenPanel, viewer: Any) -> None:
    add(viewer, None)
    panel = dock("Measure")
    measure(panel, crystal="SrTiO3")
    assert "SrTiO3 along [1 1 0]" in text(panel)
    assert "0.1 Å/px" in text(panel) or "0.09" in text(panel)


@pytest.mark.slow
def test_a_crystal_that_does_not_fit_names_nothing(dock: OpenPanel, viewer: Any) -> None:
    layer, panel = add(viewer), dock("Measure")
    measure(panel, crystal="Si")
    assert "No zone axis of Si fits" in text(panel)
    assert set(layer.features["species"]) == {"A", "B"}


@pytest.mark.slow
def test_a_file_is_a_crystal_and_a_bad_one_is_said_to_be_bad(
    dock: OpenPanel, viewer: Any, tmp_path: Any
) -> None:
    add(viewer)
    panel = dock("Measure")
    path = tmp_path / "titanate.cif"
    write(path, get_crystal("SrTiO3"))
    measure(panel, crystal=str(path))
    assert "titanate.cif along [1 1 0]" in text(panel)
    bad = tmp_path / "bad.cif"
    bad.write_text("nothing")
    panel.crystal = str(bad)
    with pytest.raises(OSError, match=r"bad\.cif"):
        panel.run().result(PATIENCE)
    assert "bad.cif" in panel.message.text()
