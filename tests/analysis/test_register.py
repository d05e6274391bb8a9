"""A known crystal is laid on columns: all are named, missing ones are listed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_atomseg.analysis import find_lattice, register_crystal
from napari_atomseg.measurements import measure

SAMPLING = 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crystal", "axis"),
    [("PbTiO3", (0, 0, 1)), ("BaTiO3", (1, 1, 0)), ("GaAs", (1, 1, 0)), ("MoS2", (0, 0, 1))],
)
def test_every_column_has_the_name_of_its_elements(seen, crystal, axis) -> None:
    table = seen(crystal, axis, turn=23.0)
    found = register_crystal(table, crystal, SAMPLING, largest_index=1)
    assert found.fits
    assert found.scale_error == pytest.approx(0.0, abs=0.003)
    named = found.columns["species"] != ""
    assert named.mean() > 0.99
    assert (found.columns["species"] == table["true"])[named].all()
    assert len(found.missing) == 0
    assert found.agreement > (0.9 if crystal != "GaAs" else 0.5)


@pytest.mark.slow
def test_missing_columns_are_listed_with_their_names(seen) -> None:
    table = seen("PbTiO3", (0, 0, 1))
    middle = np.hypot(table["y"] - 200.0, table["x"] - 200.0)
    gone = middle.sort_values().index[[0, 5, 9]]
    found = register_crystal(
        table.drop(index=gone).reset_index(drop=True), "PbTiO3", SAMPLING, zone_axis=(0, 0, 1)
    )
    assert sorted(found.missing["species"]) == sorted(table.loc[gone, "true"])
    places = found.missing[["y", "x"]].to_numpy()
    for row in table.loc[gone, ["y", "x"]].to_numpy():
        assert np.hypot(*(places - row).T).min() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.93, 1.08])
def test_a_wrong_sampling_is_said(seen, scale) -> None:
    table = seen("SrTiO3", (0, 0, 1), scale=scale)
    found = register_crystal(table, "SrTiO3", SAMPLING, largest_index=1)
    assert found.fits
    assert found.scale_error == pytest.approx(scale - 1.0, abs=0.003)
    assert found.sampling == pytest.approx(SAMPLING / scale, rel=0.003)
    report = measure("lattice", table, sampling=SAMPLING, crystal="SrTiO3", zone_axis=(0, 0, 1))
    assert any(line.startswith("Caution: lengths are") for line in report.lines)
    assert set(report.columns["species"]) - {""} == {"Sr", "TiO"}


def test_a_sublattice_that_was_not_found_is_missing_as_a_whole(seen) -> None:
    table = seen("BaTiO3", (0, 0, 1))
    alone = table[table["true"] == "Ba"].reset_index(drop=True)
    found = register_crystal(alone, "BaTiO3", SAMPLING, zone_axis=(0, 0, 1))
    assert set(found.columns["species"]) - {""} == {"Ba"}
    assert set(found.missing["species"]) == {"TiO"}
    assert len(found.missing) > 0.7 * len(alone)


@pytest.mark.slow
def test_names_follow_places_where_intensities_are_reversed_in_a_layer(seen) -> None:
    table = seen("PbTiO3", (0, 0, 1), size=100.0)
    layer = table["y"] > 0.6 * table["y"].max()
    light = table["true"].map({"Pb": 300.0, "TiO": 420.0})
    table.loc[layer, "volume"] = light[layer]
    found = register_crystal(table, "PbTiO3", SAMPLING, largest_index=1)
    named = found.columns["species"] != ""
    assert (found.columns["species"] == table["true"])[named].all()


def test_wrong_arguments_are_named(seen) -> None:
    table = seen("SrTiO3", (0, 0, 1))
    with pytest.raises(ValueError, match="faintest=0"):
        register_crystal(table, "SrTiO3", SAMPLING, faintest=0)
    with pytest.raises(ValueError, match="no columns in any direction"):
        register_crystal(table, "amorphous carbon", SAMPLING)


@pytest.mark.slow
def test_four_indices_are_the_same_axis_and_need_a_hexagonal_crystal(seen) -> None:
    table = seen("MoS2", (2, 1, 0))
    three = register_crystal(table, "MoS2", SAMPLING, zone_axis=(2, 1, 0))
    four = register_crystal(table, "MoS2", SAMPLING, zone_axis=(1, 0, -1, 0))
    assert four.zone.equals(three.zone)
    assert (four.columns["species"] == three.columns["species"]).all()
    settings = {"sampling": SAMPLING, "crystal": "SrTiO3"}
    with pytest.raises(ValueError, match="four indices need hexagonal axes"):
        measure("lattice", table, **settings, zone_axis="1 0 -1 0")
    with pytest.raises(ValueError, match="must be three integers"):
        measure("lattice", table, **settings, zone_axis="1 0")


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["conventional", "primitive"])
def test_directions_are_those_of_the_cell_that_is_shown(seen, cell) -> None:
    table = seen("Si", (1, 1, 0), turn=12.0)
    lattice = find_lattice(table, SAMPLING, cell=cell)
    found = register_crystal(table, "Si", SAMPLING, zone_axis=(1, 1, 0), lattice=lattice)
    assert len(found.lattice) == len(found.names) == len(lattice)
    assert np.allclose(found.lattice.lengths_angstrom, lattice.lengths_angstrom, rtol=1e-3)
    if cell == "conventional":
        assert {text.replace("-", "") for text in found.directions} == {"[1 1 0]", "[0 0 1]"}
    else:
        assert "[0 0 1]" not in found.directions
    # All columns scatter alike: nothing to correlate with.
    assert np.isnan(found.agreement)
    assert set(found.columns["species"]) - {""} == {"Si"}
