"""Side, turn and indices: what is seen of a crystal is what a computation by hand expects."""

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import cKDTree

import napari_atomseg as atomseg
from napari_atomseg.analysis import find_lattice, find_zone_axis
from napari_atomseg.simulation import SimulationRecipe
from napari_atomseg.specimen import Field, build_structure, get_crystal, project
from napari_atomseg.specimen.crystals.axis import read_axis, three_indices
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.recipes.crystal import Material

FIELD = Field((64, 64), 0.25, 8)
A, C, U = 4.9137, 5.4047, 0.4697


def quartz(screw: int) -> Atoms:
    """α-quartz by hand: each atom turned by 120° about c, and lifted by c/3 (P3₁21) or 2c/3."""
    sites = [("Si", (U, 0.0, screw / 3.0))]
    oxygen = np.array([0.4133, 0.2672, 0.7855])
    # The other hand is the mirror image in the plane across c.
    oxygen[2] *= 1.0 if screw == 1 else -1.0
    x, y, z = oxygen
    sites += [("O", (x, y, z)), ("O", (x - y, -y, 2 * screw / 3.0 - z))]
    symbols, places = [], []
    for symbol, (x, y, z) in sites:
        for turn, (u, v) in enumerate([(x, y), (-y, x - y), (y - x, -x)]):
            symbols.append(symbol)
            places.append((u, v, z + turn * screw / 3.0))
    return Atoms(symbols, scaled_positions=places, cell=[A, A, C, 90, 90, 120], pbc=True)


def test_the_quartz_of_the_test_has_its_space_group() -> None:
    spglib = pytest.importorskip("spglib")
    for screw, number in ((1, 152), (2, 154)):
        atoms = quartz(screw)
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        assert spglib.get_symmetry_dataset(cell, symprec=1e-3).number == number


@pytest.mark.parametrize("view", ["towards", "along"])
@pytest.mark.parametrize(("screw", "sense"), [(1, 1.0), (2, -1.0)])
def test_a_right_handed_screw_turns_counter_clockwise_as_it_comes_nearer(view, screw, sense):
    structure = build_structure(quartz(screw), (0, 0, 1), FIELD, 4 * C, view=view)
    y, x = structure.y - 0.5 * FIELD.size[0], structure.x - 0.5 * FIELD.size[1]
    helix = (structure.number == 14) & (np.abs(np.hypot(y, x) - U * A) < 0.05)
    nearer = np.argsort(-structure.z[helix])
    angle = np.degrees(np.arctan2(-y[helix], x[helix]))[nearer]
    assert len(angle) >= 10
    assert np.diff(structure.z[helix][nearer]) == pytest.approx(-C / 3, abs=1e-3)
    assert np.diff(angle) % 360.0 == pytest.approx(sense * 120.0 % 360.0, abs=0.1)


@pytest.mark.parametrize("screw", [1, 2])
def test_columns_are_those_projected_by_hand(screw) -> None:
    atoms = quartz(screw)
    # Seen with a towards the viewer and c up, c × a points to the right.
    a, _, c = atoms.cell.array
    up, right = c / C, np.cross(c, a) / np.linalg.norm(np.cross(c, a))
    silicon = atoms[atoms.numbers == 14].repeat((6, 6, 6)).positions
    for view in ("towards", "along"):
        lattice = project(atoms, (1, 0, 0), view=view)
        seen = lattice.fill(np.full(2, -12.0), np.full(2, 12.0), np.zeros(2))
        bright = seen.points[[lattice.elements[i].get("Si", 0) > 0 for i in seen.species]]
        # Turned so that c points up.
        along_c = (c @ orient(atoms, (1, 0, 0), view).frame)[:2] / C
        turn = np.array([[-along_c[0], along_c[1]], [-along_c[1], -along_c[0]]])
        shown = bright @ turn
        assert (along_c @ turn) == pytest.approx([-1.0, 0.0], abs=1e-9)
        mirrored = {
            sign: np.stack([-silicon @ up, sign * (silicon @ right)], 1) for sign in (1, -1)
        }
        off = {sign: _misfit(shown, points) for sign, points in mirrored.items()}
        same, other = (1, -1) if view == "towards" else (-1, 1)
        assert off[same] < 1e-3
        assert off[other] > 0.2


def _misfit(points: np.ndarray, expected: np.ndarray) -> float:
    """Least largest distance (Å) of points from expected ones, over the shifts that join two."""
    middle = points[np.hypot(*points.T).argmin()]
    inner = points[np.abs(points).max(axis=1) < 6.0]
    centre = expected.mean(axis=0)
    near = expected[np.hypot(*(expected - centre).T) < 4.0]
    tree = cKDTree(expected)
    return min(tree.query(inner - middle + start)[0].max() for start in near)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["towards", "along"])
def test_the_axis_that_is_found_is_the_one_towards_the_viewer(view) -> None:
    lattice = project(quartz(1), (1, 0, 0), view=view)
    columns = lattice.fill(np.zeros(2), np.full(2, 40.0), np.full(2, 3.0))
    silicon = np.array([each.get("Si", 0) > 0 for each in lattice.elements])[columns.species]
    table = _table(columns.points[silicon] / 0.2, columns.weight[silicon])
    found = find_zone_axis(find_lattice(table, 0.2), quartz(1), largest_index=1)
    best = {tuple(row) for row in found.loc[found["rank"] == 1, ["u", "v", "w"]].to_numpy()}
    # Threefold symmetry makes these alike, and not their opposites.
    alike = {(1, 0, 0), (0, 1, 0), (-1, -1, 0)}
    assert best <= (alike if view == "towards" else {(-u, -v, -w) for u, v, w in alike})


def _table(points: np.ndarray, volume: np.ndarray):
    import pandas as pd

    return pd.DataFrame({"y": points[:, 0], "x": points[:, 1], "volume": volume})


def test_a_rotation_comes_back_with_its_sign() -> None:
    simulation = atomseg.simulate("SrTiO3", shape=(128, 128), sampling=0.2, rotation=10.0)
    strontium = simulation.columns[simulation.columns["elements"] == "Sr"]
    found = find_lattice(strontium, sampling=0.2)
    assert (found.rotation_deg - 10.0 + 45.0) % 90.0 - 45.0 == pytest.approx(0.0, abs=0.02)


def test_views_of_an_image_are_mirror_images() -> None:
    options = {"shape": (64, 64), "sampling": 0.2, "jitter": 0.0, "dose": np.inf}
    towards = atomseg.simulate("SrTiO3", (1, 1, 0), **options, view="towards")
    along = atomseg.simulate("SrTiO3", (1, 1, 0), **options, view="along")
    assert towards.settings["view"] == "towards"
    # The x axis of both is the same, so that they are mirrored from top to bottom.
    assert towards.ideal[1:] == pytest.approx(along.ideal[1:][::-1], abs=1e-4)
    with pytest.raises(ValueError, match="view='above'"):
        atomseg.simulate("SrTiO3", view="above")
    with pytest.raises(ValueError, match="view='above'"):
        project(get_crystal("Si"), view="above")


@pytest.mark.parametrize(
    ("four", "three"),
    [
        ((2, -1, -1, 0), (1, 0, 0)),
        ((1, 0, -1, 0), (2, 1, 0)),
        ((1, 1, -2, 0), (1, 1, 0)),
        ((0, 0, 0, 1), (0, 0, 1)),
        ((1, 0, -1, 1), (2, 1, 1)),
        ((1, 1, -2, 3), (1, 1, 1)),
    ],
)
def test_four_indices_are_the_direction_of_three_alike_vectors(four, three) -> None:
    cell = get_crystal("LiCoO2").cell.array
    assert three_indices(four, cell) == three
    # By definition: u a1 + v a2 + t a3 + w c, with a3 = -(a1 + a2).
    a1, a2, c = cell
    direction = four[0] * a1 + four[1] * a2 - four[2] * (a1 + a2) + four[3] * c
    other = np.asarray(three) @ cell
    cosine = direction @ other / np.linalg.norm(direction) / np.linalg.norm(other)
    assert cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text", ["1 0 -1 0", "[1 0 -1 0]", "1,0,-1,0", "[10-10]", "10-10", "1 0 −1 0"]
)
def test_axes_are_read_as_they_are_written(text) -> None:
    assert read_axis(text) == (1, 0, -1, 0)
    assert read_axis("110") == (1, 1, 0)
    assert read_axis("[12 -1 0]") == (12, -1, 0)


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ((1, 0, 0, 0), r"third of four indices must be -\(u \+ v\) = -1, not 0"),
        ((0, 0, 0), "must not be zero"),
        ((1, 0), "three integers u v w, or four"),
        ("1 0 x", "three integers u v w, or four"),
        ((1.5, 0, 0), "three integers u v w, or four"),
    ],
)
def test_a_wrong_axis_is_named(axis, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_axis(axis)


def test_four_indices_need_hexagonal_axes() -> None:
    with pytest.raises(ValueError, match="four indices need hexagonal axes"):
        atomseg.simulate("SrTiO3", (1, 0, -1, 0), shape=(32, 32))
    with pytest.raises(ValueError, match="four indices need hexagonal axes"):
        Material(crystal="SrTiO3", zone_axis=(1, 0, -1, 0))


def test_four_indices_show_what_three_show() -> None:
    options = {"shape": (32, 32), "sampling": 0.2}
    four = atomseg.simulate("LiCoO2", (1, 0, -1, 0), **options)
    three = atomseg.simulate("LiCoO2", (2, 1, 0), **options)
    assert np.array_equal(four.image, three.image)
    recipe = {"specimen": {"kind": "crystal", "materials": [{"crystal": "LiCoO2"}]}}
    recipe["specimen"]["materials"][0]["zone_axis"] = "1 0 -1 0"
    drawn = SimulationRecipe.model_validate(recipe).specimen
    assert drawn.materials[0].zone_axis == (1, 0, -1, 0)
