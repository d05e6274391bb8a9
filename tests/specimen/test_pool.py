"""Renewed specimens are rigid copies of those in the pool."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.specimen import Field, Specimen, Thickness, get_crystal, project
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.matter.random_matter import Slab, crystal_on_axis
from napari_atomseg.specimen.recipes.low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes.pool import PooledSpecimen, renew, source_field
from napari_atomseg.specimen.recipes.random import RandomSpecimen

FIELD = Field((48, 64), 0.31, margin=6)
SEEDS = st.integers(0, 2**31)


def platinum(source, **changes):
    slab = Slab(source.lower, source.upper, 8.0, 10**6)
    atoms = crystal_on_axis(orient(get_crystal("Pt")), slab, 0.0, 0.0).structure
    return Specimen(atoms.scatterers(), atoms.columns(), spacing=1.96, structure=atoms, **changes)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_renewed_crystals_fill_the_field_with_the_scaled_lattice(seed):
    source = source_field(FIELD, (0.8, 1.25))
    new = renew(platinum(source), source, np.random.default_rng(seed), FIELD, (0.8, 1.25))
    scale = new.spacing / 1.96
    assert 0.8 <= scale <= 1.25
    points = new.columns.points
    gaps = np.linalg.norm(points[:, None] - points, axis=-1) + 99 * np.eye(len(points))
    assert gaps.min() == pytest.approx(scale * 3.924 / 2, rel=1e-6)
    area = np.prod(FIELD.upper - FIELD.lower)
    assert len(points) == pytest.approx(4 * area / (scale * 3.924) ** 2, rel=0.15)
    assert np.all((points >= FIELD.lower) & (points <= FIELD.upper))
    # No corner stays empty.
    spans = np.concatenate([points.min(axis=0) - FIELD.lower, FIELD.upper - points.max(axis=0)])
    assert spans.max() < 2 * scale * 3.924
    assert len(new.scatterers) == len(new.structure)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_thickness_moves_with_the_columns(seed):
    rng = np.random.default_rng(seed)
    source = source_field(FIELD, (0.8, 1.25))
    thickness = Thickness(np.array([[0.6, 0.8, 14.0, 9.0]]), np.array([[0.05, 0.02, 0.4, 0.3]]))
    columns = platinum(source).columns
    labelled = columns.reweighted(thickness(columns.y, columns.x) / columns.weight)
    old = Specimen(labelled.scatterers(), labelled, thickness=thickness)
    new = renew(old, source, rng, FIELD, (0.8, 1.25))
    assert new.thickness(new.columns.y, new.columns.x) == pytest.approx(
        new.columns.weight, abs=1e-9
    )


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_pictures_move_with_the_columns(seed):
    source = source_field(FIELD, (0.8, 1.25))
    atoms = platinum(source)
    rows, cols = (np.arange(n) * source.sampling for n in source.canvas)
    ramp = 2.0 + 0.03 * rows[:, None] - 0.02 * cols[None]
    columns = atoms.columns
    heights = 2.0 + 0.03 * columns.y - 0.02 * columns.x
    old = Specimen(
        atoms.scatterers,
        columns.reweighted(heights / columns.weight),
        picture=ramp,
    )
    new = renew(old, source, np.random.default_rng(seed), FIELD, (0.8, 1.25))
    assert new.picture.shape == FIELD.canvas
    row = np.rint(new.columns.y / FIELD.sampling).astype(int) + FIELD.margin
    col = np.rint(new.columns.x / FIELD.sampling).astype(int) + FIELD.margin
    inner = (row > 1) & (col > 1) & (row < FIELD.canvas[0] - 2) & (col < FIELD.canvas[1] - 2)
    here = new.picture[row[inner], col[inner]]
    assert here == pytest.approx(new.columns.weight[inner], abs=0.012)


def test_both_hands_are_drawn():
    source = source_field(FIELD, (1.0, 1.0))
    lattice = project(get_crystal("graphene"))
    # A scalene triangle of heavy columns tells left from right.
    columns = lattice.fill(source.lower, source.upper, 0.5 * source.size)
    marks = columns.select(np.arange(3))
    middle = 0.5 * source.size
    marks = marks.shifted(middle[0] - marks.y + [0, 3.0, 0], middle[1] - marks.x + [0, 0, 1.5])
    specimen = Specimen(marks.scatterers(), marks)
    hands = set()
    for seed in range(20):
        p = renew(specimen, source, np.random.default_rng(seed), FIELD).columns.points
        if len(p) == 3:
            hands.add(np.sign(np.linalg.det(p[1:] - p[0])))
    assert hands == {-1.0, 1.0}


@pytest.mark.parametrize("recipe", [RandomSpecimen(atoms=2000), LowResolutionSpecimen()])
def test_pooled_specimens_depend_on_their_random_numbers_alone(recipe):
    pooled = PooledSpecimen(specimen=recipe, count=3)

    def draw(seed):
        specimen = pooled.draw(np.random.default_rng(seed), FIELD)
        return specimen.picture if specimen.picture is not None else specimen.scatterers.y

    first = draw(5)
    draw(6)
    assert np.array_equal(draw(5), first)
    assert not np.array_equal(draw(7), first)


def test_pooled_specimens_are_faster_than_new_ones_because_few_are_drawn(monkeypatch):
    drawn = []
    draw = LowResolutionSpecimen.draw

    def counted(self, rng, field):
        drawn.append(field)
        return draw(self, rng, field)

    monkeypatch.setattr(LowResolutionSpecimen, "draw", counted)
    pooled = PooledSpecimen(specimen=LowResolutionSpecimen(cracks=(2, 2)), count=2)
    rng = np.random.default_rng(0)
    for sampling in (1.0, 1.01, 0.99) * 5:
        pooled.draw(rng, Field((32, 32), sampling))
    assert len(drawn) == 2


@pytest.mark.parametrize("kind", ["soft-particles", "sharp-particles", "grains", "boxes"])
def test_enlarged_scenes_are_as_dense_as_small_ones(kind):
    recipe, seeds = LowResolutionSpecimen(kinds=(kind,), borders=0.0), range(12)
    small = [recipe.draw(np.random.default_rng(s), Field((96, 96), 1.0, 0)) for s in seeds]
    large = [
        recipe.enlarged(4.0).draw(np.random.default_rng(s), Field((192, 192), 1.0, 0))
        for s in seeds
    ]
    # Length of borders an area: it doubles where objects are half as wide.
    slope = [
        [np.hypot(*np.gradient(s.picture / s.picture.mean())).mean() for s in scenes]
        for scenes in (small, large)
    ]
    assert np.median(slope[1]) == pytest.approx(np.median(slope[0]), rel=0.4)


def test_recipes_of_pools_are_read_from_their_kind():
    recipe = PooledSpecimen.model_validate(
        {"kind": "pooled", "specimen": {"kind": "low-resolution", "kinds": ["bands"]}}
    )
    assert recipe.specimen == LowResolutionSpecimen(kinds=("bands",))


@pytest.mark.parametrize(
    ("recipe", "wrong"),
    [
        (RandomSpecimen, {"kinds": ()}),
        (RandomSpecimen, {"wedge": 1.5}),
        (RandomSpecimen, {"elements": (4, 2)}),
        (RandomSpecimen, {"cell_length": (0.0, 3.0)}),
        (LowResolutionSpecimen, {"kinds": ("clouds",)}),
        (LowResolutionSpecimen, {"soft": (0, 3)}),
        (PooledSpecimen, {"specimen": RandomSpecimen(), "count": 0}),
    ],
)
def test_impossible_recipes_are_refused_by_the_name_of_what_is_wrong(recipe, wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        recipe(**wrong)
