"""The crystal book against published bond lengths, and crystals that users bring."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from ase.neighborlist import neighbor_list

from napari_atomseg.specimen import crystals, get_crystal
from napari_atomseg.specimen.crystals.zone import orient


def bonds(atoms, first, second, below):
    i, j, distance = neighbor_list("ijd", atoms, below)
    symbols = np.array(atoms.get_chemical_symbols())
    central = np.flatnonzero(symbols == first)
    chosen = np.isin(i, central) & (symbols[j] == second)
    return np.sort(distance[chosen]), len(central)


@pytest.mark.parametrize(
    ("name", "pair", "number", "shortest", "longest"),
    [
        ("Pt", ("Pt", "Pt"), 12, 2.77, 2.78),
        ("Si", ("Si", "Si"), 4, 2.35, 2.36),
        ("NiO", ("Ni", "O"), 6, 2.08, 2.10),
        ("CeO2", ("Ce", "O"), 8, 2.34, 2.35),
        ("Co3O4", ("Co", "O"), 16 / 3, 1.91, 1.95),
        ("LiCoO2", ("Co", "O"), 6, 1.91, 1.93),
        ("LiCoO2", ("Li", "O"), 6, 2.08, 2.11),
        ("SrTiO3", ("Ti", "O"), 6, 1.95, 1.96),
        ("PbTiO3", ("Ti", "O"), 6, 1.76, 2.40),
        ("TiO2", ("Ti", "O"), 6, 1.94, 1.99),
        ("DyScO3", ("Sc", "O"), 6, 2.06, 2.11),
        ("DyScO3", ("Dy", "O"), 6, 2.25, 2.59),
        ("PtFe", ("Pt", "Fe"), 8, 2.67, 2.68),
        ("MoS2", ("Mo", "S"), 6, 2.41, 2.42),
        ("graphene", ("C", "C"), 3, 1.42, 1.421),
        ("hBN", ("B", "N"), 3, 1.44, 1.45),
    ],
)
def test_atoms_have_the_neighbours_of_the_textbook(name, pair, number, shortest, longest):
    distances, centres = bonds(get_crystal(name), *pair, below=1.02 * longest)
    assert len(distances) / centres == pytest.approx(number)
    assert distances[0] == pytest.approx(shortest, abs=longest - shortest + 0.01)
    assert shortest <= distances[0]
    assert distances[-1] <= longest


def test_lead_titanate_is_polar_along_c():
    atoms = get_crystal("PbTiO3")
    height = dict(zip(atoms.symbols, atoms.get_scaled_positions()[:, 2], strict=True))
    assert height["Ti"] - 0.5 - height["Pb"] == pytest.approx(0.0377)


@pytest.mark.parametrize("name", [n for n in crystals() if not n.startswith("amorphous")])
def test_every_crystal_of_the_book_passes_the_checks_for_those_of_users(name):
    atoms = get_crystal(name)
    assert np.all(get_crystal(atoms).positions == atoms.positions)


@pytest.mark.parametrize("name", ["graphene", "MoS2", "amorphous graphene"])
def test_single_layers_do_not_repeat_along_their_normal(name):
    assert orient(get_crystal(name)).layer


@pytest.mark.parametrize("suffix", ["cif", "xyz", "vasp"])
def test_files_give_the_crystal_that_was_written(tmp_path, suffix):
    path = tmp_path / f"crystal.{suffix}"
    format_ = "extxyz" if suffix == "xyz" else None
    write(path, get_crystal("SrTiO3"), format=format_)
    atoms = get_crystal(path)
    assert sorted(atoms.numbers) == sorted(get_crystal("SrTiO3").numbers)
    assert atoms.get_volume() == pytest.approx(3.905**3, rel=1e-4)
    assert get_crystal(str(path)).pbc.all()


def test_an_xyz_file_without_a_cell_is_an_object_in_a_box(tmp_path):
    path = tmp_path / "molecule.xyz"
    write(path, molecule("C60"), format="xyz")
    atoms = get_crystal(path)
    assert not atoms.pbc.any()
    assert np.all(atoms.cell.lengths() > np.ptp(atoms.positions, axis=0))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "no atoms"),
        (Atoms("Pt2", [(0, 0, 0), (0, 0, 0.1)], cell=[4, 4, 4], pbc=True), "closer than 0.5"),
        (Atoms("Pt", [(0, 0, 0)], cell=[0.3, 4, 4], pbc=True), "closer than 0.5"),
        (Atoms("Pt", [(np.nan, 0, 0)], cell=[4, 4, 4], pbc=True), "finite"),
        (Atoms("Pt", cell=[[4, 0, 0], [8, 0, 0], [0, 0, 4]], pbc=True), "no volume"),
        (Atoms("Pt", pbc=True), "without a cell vector"),
        (Atoms("X", cell=[4, 4, 4], pbc=True), "no known element"),
    ],
)
def test_bad_crystals_are_told_what_is_wrong(atoms, message):
    with pytest.raises(ValueError, match=message):
        get_crystal(atoms)


def test_what_is_no_crystal_is_a_type_error():
    with pytest.raises(TypeError, match="int"):
        get_crystal(3)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.cif"):
        get_crystal(tmp_path / "nowhere.cif")
    broken = tmp_path / "broken.cif"
    broken.write_text("not a crystal", encoding="utf-8")
    with pytest.raises(OSError, match=r"broken\.cif"):
        get_crystal(broken)
    overlapping = tmp_path / "overlapping.xyz"
    atoms = Atoms("Pt2", [(0, 0, 0), (0, 0, 0.1)], cell=[4, 4, 4], pbc=True)
    write(overlapping, atoms, format="extxyz")
    with pytest.raises(OSError, match=r"overlapping\.xyz.*closer"):
        get_crystal(str(overlapping))


def test_a_users_atoms_are_not_changed():
    atoms = bulk("Pt")
    get_crystal(atoms).positions += 1.0
    assert np.all(atoms.positions == 0)
