"""Graphene with defects, and PbTiO3/SrTiO3 multilayers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen import Field, GrapheneSpecimen, Multilayer, build_multilayer
from napari_atomseg.specimen.crystals.crystal import builtin_crystal
from napari_atomseg.specimen.matter.graphene import (
    BOND,
    bond_numbers,
    divacancy,
    find_bonds,
    line_defect,
    relax,
    rough_edge,
    stone_wales,
)

LOWER, UPPER = np.zeros(2), np.full(2, 36.0)


def inner(points, margin=3.0):
    return np.all((points > LOWER + margin) & (points < UPPER - margin), axis=1)


@pytest.fixture(scope="module")
def sheet():
    return builtin_crystal("graphene", (0, 0, 1)).columns(LOWER, UPPER, np.full(2, 18.0)).points


def central_bond(points):
    bonds = find_bonds(points)
    middle = points[bonds].mean(axis=1)
    return bonds[np.linalg.norm(middle - 18.0, axis=1).argmin()]


def rings(points):
    """Sizes of the faces of the planar graph, walked by turning as sharply as possible."""
    bonds = find_bonds(points)
    around = {}
    for i, j in np.concatenate([bonds, bonds[:, ::-1]]):
        around.setdefault(int(i), []).append(int(j))
    for i, others in around.items():
        others.sort(key=lambda j, i=i: np.arctan2(*(points[j] - points[i])))
    sizes, seen = [], set()
    for start in [(int(i), int(j)) for i, j in np.concatenate([bonds, bonds[:, ::-1]])]:
        if start in seen:
            continue
        walk, step = [], start
        while step not in seen:
            seen.add(step)
            walk.append(step[0])
            others = around[step[1]]
            step = (step[1], others[(others.index(step[0]) + 1) % len(others)])
        if inner(points[walk]).all() and len(walk) < 20:
            sizes.append(len(walk))
    return np.bincount(sizes, minlength=10)


def test_pristine_graphene_has_hexagons_only(sheet):
    assert np.flatnonzero(rings(sheet)).tolist() == [6]


@pytest.mark.parametrize(
    ("defect", "expected"), [(stone_wales, {5: 2, 7: 2}), (divacancy, {5: 2, 8: 1})]
)
def test_reconstructed_defects_have_their_rings_and_sound_bonds(sheet, defect, expected):
    points = defect(sheet, *central_bond(sheet))
    moving = np.linalg.norm(points - 18.0, axis=1) < 9.0
    relaxed = relax(points, moving)
    sizes = rings(relaxed)
    assert {n: int(sizes[n]) for n in (5, 7, 8) if sizes[n]} == expected
    bonds = find_bonds(relaxed)
    lengths = np.linalg.norm(relaxed[bonds[:, 0]] - relaxed[bonds[:, 1]], axis=1)
    assert lengths.min() > 1.30
    assert lengths.max() < 1.60
    assert np.all(relaxed[~moving] == points[~moving])
    assert np.abs(relax(relaxed, moving, steps=40) - relaxed).max() < 0.02


def test_relaxing_leaves_perfect_graphene_alone(sheet):
    moving = inner(sheet)
    assert np.abs(relax(sheet, moving) - sheet).max() < 1e-9


@given(rotation=st.floats(-180, 180))
@settings(max_examples=8, deadline=None)
def test_the_line_defect_is_threefold_pentagons_and_octagons(rotation):
    points = line_defect(LOWER, UPPER, np.array([18.0, 18.0]), rotation)
    bonds = find_bonds(points)
    lengths = np.linalg.norm(points[bonds[:, 0]] - points[bonds[:, 1]], axis=1)
    assert lengths == pytest.approx(np.full(len(lengths), BOND), abs=1e-6)
    assert np.all(bond_numbers(points)[inner(points)] == 3)
    sizes = rings(points)
    assert set(np.flatnonzero(sizes)) == {5, 6, 8}
    assert 2 * sizes[8] - 2 <= sizes[5] <= 2 * sizes[8] + 4


def test_an_irregular_edge_has_no_dangling_atoms_and_the_roughness_asked_for(sheet):
    normal = np.array([0.0, 1.0])
    points = rough_edge(sheet, np.random.default_rng(0), np.full(2, 18.0), normal, 3.0)
    assert 0.3 * len(sheet) < len(points) < 0.7 * len(sheet)
    assert bond_numbers(points).min() >= 2
    border = [points[np.abs(points[:, 0] - y) < 1.5, 1].max() for y in np.arange(2, 35, 3.0)]
    assert 1.0 < np.std(border) < 5.0


def test_atoms_of_graphene_are_shifted_by_ten_picometres():
    field = Field((128, 128), 0.3, 10)
    recipe = GrapheneSpecimen(
        rotation=(0, 0), line_defect=0, edge=0, vacancies=(0, 0), divacancies=(0, 0),
        stone_wales=(0, 0),
    )  # fmt: skip
    specimen = recipe.draw(np.random.default_rng(4), field)
    points = specimen.columns.points
    lattice = builtin_crystal("graphene", (0, 0, 1))
    # The lattice's origin is unknown, and so is the sublattice of the first atom; the best origin
    # is that of the mean remainder.
    means = []
    for site in lattice.lattice.positions @ lattice.lattice.vectors:
        columns = lattice.columns(np.full(2, -30.0), field.upper + 30.0, points[0] - site)
        for _ in range(4):
            _, match = cKDTree(columns.points).query(points)
            columns = columns.shifted(*(points - columns.points[match]).mean(axis=0))
        means.append(cKDTree(columns.points).query(points)[0].mean())
    assert min(means) == pytest.approx(0.1, rel=0.06)
    assert np.ptp(specimen.structure.z) > 0.3


def multilayer(layers, lower=0.0, **arguments):
    return build_multilayer(
        layers, np.full(2, lower), np.full(2, 120.0), np.random.default_rng(1),
        origin=np.zeros(2), **arguments,
    )  # fmt: skip


def cage_offsets(columns, names):
    """Offset of each Ti–O column from the mean of the four A columns around it, and its place."""
    is_titanium = np.array(["Ti" in name for name in names])[columns.species]
    is_cage = np.array(["Pb" in n or "Sr" in n for n in names])[columns.species]
    cage = columns.points[is_cage]
    distance, near = cKDTree(cage).query(columns.points[is_titanium], k=4)
    whole = distance.max(axis=1) < 3.4
    points = columns.points[is_titanium][whole]
    return points - cage[near[whole]].mean(axis=1), points


def test_a_multilayer_alternates_between_its_two_cells():
    layers = Multilayer(cells=(5, 8), amplitude=0.0)
    _, columns, names = multilayer(layers)
    lead = columns.select(columns.species == names.index("Pb"))
    rows = np.unique(lead.y.round(3))
    stack = 5 * 4.152 + 8 * 3.905
    expected = [4.152 * i + stack * k for k in range(3) for i in range(5)]
    assert rows == pytest.approx([e for e in expected if e <= 120.0], abs=2e-3)
    strontium = columns.select(columns.species == names.index("Sr"))
    first = np.unique(strontium.y.round(3))[:8]
    assert first == pytest.approx(5 * 4.152 + 3.905 * np.arange(8), abs=2e-3)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_titanium_is_displaced_as_in_bulk_lead_titanate(sign):
    layers = Multilayer(cells=(20, 3), amplitude=sign)
    offsets, points = cage_offsets(*multilayer(layers)[1:])
    inside = (points[:, 0] > 4) & (points[:, 0] < 76)
    # The column's centre is that of Ti (0.157 Å off) and O (0.487 Å off) weighted by Z^1.7.
    share = 8**1.7 / (8**1.7 + 22**1.7)
    expected = sign * 4.152 * ((1 - share) * 0.0377 + share * 0.1174)
    assert offsets[inside, 0] == pytest.approx(np.full(inside.sum(), expected), abs=1e-6)
    assert np.abs(offsets[inside, 1]).max() < 1e-9


def test_strontium_titanate_far_from_lead_titanate_is_not_polar():
    offsets, points = cage_offsets(*multilayer(Multilayer(cells=(3, 20), decay=2.0))[1:])
    middle = np.abs(points[:, 0] - (3 * 4.152 + 10 * 3.905)) < 15
    assert np.linalg.norm(offsets[middle], axis=1).max() < 1e-3


def test_stripes_point_up_and_down_alike():
    offsets, points = cage_offsets(
        *multilayer(Multilayer(cells=(20, 3), domains="stripes", period=58.575))[1:]
    )
    inside = (points[:, 0] > 4) & (points[:, 0] < 76)
    assert abs(offsets[inside, 0].mean()) < 0.02
    assert np.abs(offsets[inside, 0]).mean() > 0.15
    wave = np.sin(2 * np.pi * points[inside, 1] / 58.575)
    assert np.all((offsets[inside, 0] * wave)[np.abs(wave) > 0.1] > 0)


def test_vortices_circulate_around_their_cores():
    layers = Multilayer(cells=(10, 10), domains="vortices", period=80.0)
    core, radius = np.array([5 * 4.152, 0.0]), 12.0
    turns = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    for place, sense in ((0.0, 1.0), (40.0, -1.0)):
        y = core[0] + radius * np.sin(turns)
        x = place + radius * np.cos(turns)
        shift = layers.displacement(y, x % 80.0)
        circulation = np.mean(shift[:, 0] * np.cos(turns) - shift[:, 1] * np.sin(turns))
        assert sense * circulation > 0.3


def test_mixing_shares_the_sites_at_the_interface_between_both_elements():
    scatterers, columns, names = multilayer(Multilayer(cells=(8, 8), mixing=4.0))
    assert names == ("Pb", "Sr", "TiO", "O")
    lead, strontium = (columns.numbers.index(n) for n in (82, 38))
    cages = columns.select(columns.counts[:, lead] + columns.counts[:, strontium] > 0)
    total = cages.counts[:, lead] + cages.counts[:, strontium]
    assert np.all(total == total[0])
    share = cages.counts[:, lead] / total
    assert np.sum((share > 0.1) & (share < 0.9)) > 20
    assert np.all((share > 0.5) <= (cages.species == 0))
    assert np.all((share < 0.5) <= (cages.species == 1))
    inside = (scatterers.number == 82) | (scatterers.number == 38)
    assert scatterers.amount[inside].sum() == pytest.approx(total.sum(), rel=1e-6)


def test_a_turned_multilayer_is_the_same_one_turned():
    layers = Multilayer(cells=(4, 4), domains="vortices")
    _, straight, _ = multilayer(layers, lower=-120.0)
    _, turned, _ = multilayer(layers, lower=-120.0, rotation=90.0)
    # Counter-clockwise as shown: what pointed to the right points up.
    points = straight.points @ [[0, 1], [-1, 0]]
    inside = np.all(np.abs(points) < 119, axis=1)
    assert inside.sum() > 1000
    assert cKDTree(turned.points).query(points[inside])[0].max() < 1e-6
    assert len(turned) == pytest.approx(len(straight), rel=0.03)
