"""Sites that several elements share are drawn by their occupancies, from the seed."""

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.specimen import Field, SingleCrystal, get_crystal, project
from napari_atomseg.specimen.recipes.crystal import CrystalSpecimen, Material

CELL = """data_mixed
_cell_length_a 3.88
_cell_length_b 3.88
_cell_length_c 3.88
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
MANGANITE = """La La 0 0 0 0.6
Sr Sr 0 0 0 0.4
Mn Mn 0.5 0.5 0.5 1.0
O O 0.5 0.5 0 0.9
"""
FIELD = Field((97, 97), 0.4, 0)
"""Ten cells a side."""
WITHIN = {"offset": (0.5, 0.5), "thickness": 116.4}

pytestmark = pytest.mark.filterwarnings("ignore:.*mixed or partly occupied")


@pytest.fixture
def manganite(tmp_path):
    path = tmp_path / "lsmo.cif"
    path.write_text(CELL + MANGANITE, encoding="utf-8")
    return path


def shares(structure):
    numbers = structure.number
    return {z: np.count_nonzero(numbers == z) for z in (8, 25, 38, 57)}


def test_a_structure_has_the_occupancies_of_the_file(manganite):
    specimen = SingleCrystal(manganite, (0, 0, 1), **WITHIN)
    count = shares(specimen.draw(np.random.default_rng(1), FIELD).structure)
    cells = count[57] + count[38]
    assert cells > 2000
    assert count[57] / cells == pytest.approx(0.6, abs=4 * np.sqrt(0.24 / cells))
    assert count[8] / (3 * count[25]) == pytest.approx(0.9, abs=0.03)
    # The same seed draws the same, another one another.
    again = specimen.draw(np.random.default_rng(1), FIELD).structure
    other = specimen.draw(np.random.default_rng(2), FIELD).structure
    assert shares(again) == count
    assert shares(other) != count


def test_columns_differ_as_chance_has_it(manganite):
    specimen = SingleCrystal(manganite, (0, 0, 1), thickness=77.6)
    columns = specimen.draw(np.random.default_rng(0), FIELD).columns
    numbers = np.array(columns.numbers)
    of_lanthanum = columns.counts[:, numbers == 57].ravel()
    mixed = of_lanthanum + columns.counts[:, numbers == 38].ravel()
    assert np.all(mixed[mixed > 0] == 20)
    # Binomial: n p (1 - p).
    assert of_lanthanum[mixed > 0].mean() == pytest.approx(12.0, abs=0.6)
    assert of_lanthanum[mixed > 0].var() == pytest.approx(4.8, rel=0.4)


def test_it_is_said(manganite):
    with pytest.warns(UserWarning, match=r"lsmo.cif has sites that are mixed .* La 0.6 Sr 0.4"):
        get_crystal(manganite)
    made = atomseg.simulate(manganite, shape=(32, 32), sampling=0.2)
    assert made.notes == (
        "mixed sites are drawn by their occupancies from the seed: La 0.6 Sr 0.4 and O 0.9",
    )
    assert atomseg.simulate("SrTiO3", shape=(32, 32)).notes == ()


def test_zone_axes_and_recipes_take_the_mean(manganite):
    lattice = project(get_crystal(manganite))
    mixed = next(e for e in lattice.elements if "La" in e)
    assert mixed == pytest.approx({"La": 0.6, "Sr": 0.4})
    weight = lattice.weights[lattice.elements.index(mixed)]
    assert weight == pytest.approx(0.6 * 57**1.7 + 0.4 * 38**1.7)
    recipe = CrystalSpecimen(
        materials=(Material(crystal=str(manganite)),), thickness=(77.6, 77.6), shapes={"bulk": 1.0}
    )
    columns = recipe.draw(np.random.default_rng(0), FIELD).columns
    of_lanthanum = columns.counts[:, list(columns.numbers).index(57)]
    assert set(of_lanthanum) == {0.0, 12.0}


def test_split_sites_hold_one_atom(tmp_path):
    path = tmp_path / "split.cif"
    path.write_text(CELL + "Pb Pb 0.03 0 0 0.16667\nTi Ti 0.5 0.5 0.5 1.0\n", encoding="utf-8")
    atoms = get_crystal(path)
    assert sorted(atoms.get_chemical_symbols()) == ["Pb", "Ti"]
    structure = (
        SingleCrystal(path, (0, 0, 1), **WITHIN).draw(np.random.default_rng(0), FIELD).structure
    )
    lead = np.count_nonzero(structure.number == 82)
    assert lead == pytest.approx(np.count_nonzero(structure.number == 22), rel=0.05)
