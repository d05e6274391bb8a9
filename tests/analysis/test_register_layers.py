"""Layers of two crystals on one lattice take the names of their own elements."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from napari_atomseg.analysis import register_layers
from napari_atomseg.measurements import measure

SAMPLING, CELL = 0.15, 3.904
SIGHT = {"zone_axis": (0, 0, 1)}


@pytest.fixture
def ruthenate(tmp_path) -> str:
    """A file of cubic SrRuO3."""
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    path = tmp_path / "SrRuO3.cif"
    Atoms("SrRuO3", scaled_positions=places, cell=[CELL] * 3, pbc=True).write(path)
    return str(path)


def multilayer(gradient: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """PbTiO3, in rows 5 to 10 SrRuO3, and PbTiO3 again; intensities by the power 1.7 of Z."""
    rng = np.random.default_rng(seed)
    i, j = (each.ravel() for each in np.mgrid[:15, :18])
    parts = []
    for kind, names, scattering in (
        (0, ("Pb", "Sr"), (1797.0, 485.0)),
        (1, ("TiO", "RuO"), (225.0, 656.0)),
    ):
        other = ((i + 0.5 * kind) >= 5) & ((i + 0.5 * kind) < 11)
        part = pd.DataFrame({"y": i + 0.5 * kind, "x": j + 0.5 * kind})
        part = part * CELL / SAMPLING + 20.0 + rng.normal(0, 0.3, (len(part), 2))
        part["volume"] = np.where(other, scattering[1], scattering[0])
        part["volume"] *= rng.normal(1.0, 0.05, len(part)) * (1.0 + gradient * part["x"] / 500.0)
        parts.append(part.assign(true=np.where(other, names[1], names[0]), inner=np.abs(i - 8) < 2))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [0.0, 1.0])
def test_columns_are_named_by_the_crystal_of_their_layer(ruthenate, gradient) -> None:
    table = multilayer(gradient)
    found = register_layers(table, ["PbTiO3", ruthenate], SAMPLING, **SIGHT)
    right = found.columns["species"] == table["true"]
    assert right.mean() > 0.93
    assert right[table["inner"]].all()
    assert set(found.columns["species"]) - {""} == {"Pb", "TiO", "Sr", "RuO"}
    assert set(found.columns["crystal"]) - {""} == {"PbTiO3", found.crystals[1]}


@pytest.mark.slow
def test_missing_columns_have_the_name_of_their_layer(ruthenate) -> None:
    table = multilayer()
    middle = np.hypot(table["y"] - 20 - 8 * CELL / SAMPLING, table["x"] - 250)
    gone = table.index[middle.argmin()]
    found = register_layers(
        table.drop(index=gone).reset_index(drop=True), ["PbTiO3", ruthenate], SAMPLING, **SIGHT
    )
    assert list(found.missing["species"]) == [table.loc[gone, "true"]]


@pytest.mark.slow
def test_lattice_takes_several_crystals(ruthenate) -> None:
    report = measure(
        "lattice", multilayer(), sampling=SAMPLING, crystal=["PbTiO3", ruthenate], **SIGHT
    )
    assert report.columns["species"].nunique() == 4
    assert sum("sites inside have their column" in line for line in report.lines) == 4


def test_layers_need_intensities_and_two_crystals() -> None:
    table = multilayer()
    with pytest.raises(ValueError, match="two or more"):
        register_layers(table, ["PbTiO3"], SAMPLING)
    with pytest.raises(ValueError, match="no intensities"):
        register_layers(table[["y", "x"]], ["PbTiO3", "SrTiO3"], SAMPLING)
