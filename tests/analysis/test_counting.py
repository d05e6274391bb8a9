"""Atoms are counted, as surely as is said; the model has them where they were."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.analysis import count_by_library, count_by_mixture, match, start_model

SLOPE = 2.0


def cross_sections(count, sigma=0.25, *, errors=0.0, power=1.0, seed=0):
    """Columns with `count` (N,) atoms each: `volume` (Å² units) and `volume_err`."""
    rng = np.random.default_rng(seed)
    scatter = np.hypot(sigma, errors)
    volume = SLOPE * np.asarray(count, float) ** power + rng.normal(0.0, scatter, len(count))
    return pd.DataFrame({"true": count, "volume": volume, "volume_err": errors})


def wedge(columns=600, low=1, high=8, seed=0):
    return np.random.default_rng(seed).integers(low, high + 1, columns)


@pytest.mark.slow
def test_the_likelihood_tells_how_many_components_and_the_line_which_atoms():
    columns = cross_sections(wedge(low=2))
    counts = count_by_mixture(columns)
    assert int(np.argmin(counts.icl)) + 1 == 7
    assert counts.numbers.tolist() == list(range(2, 9))
    assert counts.first == pytest.approx(2.0, abs=4 * counts.first_err)
    assert counts.first_err < 0.1
    assert (counts.columns["count"] == columns["true"]).mean() > 0.995
    assert counts.sigma == pytest.approx(0.25, rel=0.1)
    z = (counts.sections - SLOPE * counts.numbers) / counts.sections_err
    assert np.sqrt(np.mean(z**2)) < 1.8


@pytest.mark.slow
@pytest.mark.parametrize("errors", [0.0, 0.5], ids=["scatter", "errors of the volumes"])
def test_probabilities_are_the_shares_of_right_counts(errors):
    columns = cross_sections(wedge(3000), 0.55 if not errors else 0.2, errors=errors)
    counts = count_by_mixture(columns, 8, first=1)
    table = counts.columns
    right = table["count"] == columns["true"]
    wrong, spread = counts.miscounted, np.sqrt(counts.miscounted / len(table))
    assert 0.02 < wrong < 0.2
    assert abs((1 - right.mean()) - wrong) < 4 * spread
    unsure = table["count_probability"] < 0.8
    assert right[unsure].mean() == pytest.approx(
        table.loc[unsure, "count_probability"].mean(), abs=0.1
    )
    away = (table["count"] - columns["true"]).astype(float)
    assert np.mean(away**2) == pytest.approx(np.mean(table["count_err"] ** 2), rel=0.15)


@pytest.mark.slow
def test_the_total_lies_within_its_error():
    z = []
    for seed in range(60):
        columns = cross_sections(wedge(400, seed=seed), 0.5, seed=1000 + seed)
        total, error = count_by_library(columns, SLOPE * np.arange(1, 9)).total
        z.append((total - columns["true"].sum()) / error)
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.2)
    # A mixture has to find the components, too.
    z = []
    for seed in range(12):
        columns = cross_sections(wedge(400, seed=seed), 0.5, seed=seed)
        total, error = count_by_mixture(columns, 8, first=1).total
        z.append((total - columns["true"].sum()) / error)
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize(
    ("absolute", "relative", "high", "number"),
    [
        pytest.param(0.05, 0.012, 20, 1500, marks=pytest.mark.slow),
        (0.1, 0.02, 12, 800),
        pytest.param(0.3, 0.0, 10, 800, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_classes_that_widen_with_thickness_are_not_split(absolute, relative, high, number, seed):
    rng = np.random.default_rng(seed)
    count = rng.integers(1, high + 1, number)
    mean = SLOPE * count**0.95
    volume = mean + rng.normal(size=number) * np.hypot(absolute, relative * mean)
    counts = count_by_mixture(pd.DataFrame({"volume": volume}), first=1)
    assert len(counts.numbers) == high
    right = (counts.columns["count"] == count).mean()
    assert right > 0.97
    assert right == pytest.approx(1 - counts.miscounted, abs=0.012)
    assert counts.relative == pytest.approx(relative, abs=0.2 * relative)
    library = SLOPE * np.arange(1, high + 3) ** 0.95
    known = count_by_library(pd.DataFrame({"volume": volume}), library)
    assert (known.columns["count"] == count).mean() > 0.97
    assert known.relative == pytest.approx(relative, abs=0.2 * relative)


@pytest.mark.slow
def test_one_width_is_kept_on_demand():
    columns = cross_sections(wedge())
    common, free = (count_by_mixture(columns, width=width) for width in ("common", "auto"))
    assert common.relative == free.relative == 0.0
    assert (
        count_by_mixture(columns, width="growing").columns["count"].equals(common.columns["count"])
    )


@pytest.mark.slow
def test_stated_miscounts_hold_over_many_wedges():
    """Of every level of certainty, as many counts are right as is said."""
    stated, right = [], []
    for seed in range(12):
        columns = cross_sections(wedge(1000, seed=seed), 0.6, seed=100 + seed)
        table = count_by_mixture(columns, 8, first=1).columns
        counted = table["count"].notna()
        stated.append(table.loc[counted, "count_probability"].to_numpy())
        right.append((table["count"] == columns["true"])[counted].to_numpy(bool))
    certain, correct = np.concatenate(stated), np.concatenate(right)
    level = np.digitize(certain, [0.6, 0.8, 0.95])
    for each in range(4):
        some = level == each
        noise = np.sqrt(certain[some].mean() * (1 - certain[some].mean()) / some.sum())
        assert correct[some].mean() == pytest.approx(certain[some].mean(), abs=0.02 + 3 * noise)
    assert correct.mean() == pytest.approx(certain.mean(), abs=0.01)


@pytest.mark.parametrize("strange", [-1.0, 0.0, 1e6, -1e6, np.inf, np.nan])
def test_what_is_no_column_changes_no_count(strange):
    columns = cross_sections(wedge(100, high=5), 0.1)
    with_it = pd.concat([columns, pd.DataFrame({"volume": [strange], "volume_err": [0.0]})])
    for counts in (
        count_by_mixture(with_it, first=1),
        count_by_library(with_it, SLOPE * np.arange(1, 9)),
    ):
        assert counts.columns["count"].isna().tolist() == [False] * 100 + [True]
        assert (counts.columns["count"].iloc[:100] == columns["true"]).all()


def test_equal_and_few_columns():
    equal = pd.DataFrame({"volume": np.full(20, 6.1)})
    assert len(count_by_mixture(equal, first=3).numbers) == 1
    library = SLOPE * np.arange(1, 6)
    assert (count_by_library(equal, library).columns["count"] == 3).all()
    few = count_by_library(equal.iloc[:2], library).columns
    assert few["count"].tolist() == [3, 3]
    assert few["count_probability"].isna().all()
    known = count_by_library(equal.iloc[:2].assign(volume_err=0.5), library).columns
    assert known["count_probability"].between(0.5, 1.0).all()


def test_a_library_in_other_units_is_refused():
    with pytest.raises(ValueError, match="normalized"):
        count_by_library(cross_sections(wedge(50)), 1e-3 * np.arange(1, 5))


def test_a_library_counts_where_sections_are_not_in_proportion():
    columns = cross_sections(wedge(500, high=12), 0.2, power=0.9)
    library = SLOPE * np.arange(1, 21) ** 0.9
    counts = count_by_library(columns, library)
    assert (counts.columns["count"] == columns["true"]).mean() > 0.99
    assert counts.sigma == pytest.approx(0.2, rel=0.15)
    table = pd.DataFrame({"count": np.arange(1, 21), "section": library}).iloc[::-1]
    again = count_by_library(columns, table)
    assert again.columns["count"].equals(counts.columns["count"])


@pytest.mark.slow
def test_the_scale_of_a_curved_library_is_found():
    columns = cross_sections(wedge(800, high=12), 0.1, power=0.8)
    library = SLOPE * np.arange(1, 21) ** 0.8 / 1.3
    counts = count_by_library(columns, library, scale=None)
    assert counts.scale == pytest.approx(1.3, rel=0.01)
    assert (counts.columns["count"] == columns["true"]).mean() > 0.99
    assert (
        count_by_library(columns, library, scale=1.3)
        .columns["count"]
        .equals(counts.columns["count"])
    )


@pytest.mark.slow
def test_volumes_in_pixels_become_square_angstroms():
    columns = cross_sections(wedge())
    pixels = columns.assign(volume=columns["volume"] / 0.01)
    counts = count_by_mixture(pixels, 8, sampling=0.1, first=1)
    assert counts.sections == pytest.approx(count_by_mixture(columns, 8, first=1).sections)


def test_columns_without_a_cross_section_are_not_counted():
    columns = cross_sections(wedge())
    columns.loc[[3, 70], "volume"] = np.nan
    counts = count_by_mixture(columns, 8, first=1).columns
    assert counts["count"].isna().sum() == 2
    assert counts.loc[[3, 70], "count_probability"].isna().all()
    assert counts["count"].dtype == "Int64"


@pytest.mark.slow
def test_one_thickness_is_one_component():
    counts = count_by_mixture(cross_sections(np.full(200, 5)), first=5)
    assert counts.numbers.tolist() == [5]
    assert (counts.columns["count"] == 5).all()
    unknown = count_by_mixture(cross_sections(np.full(200, 5)))
    assert np.isnan(unknown.first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: count_by_mixture(c.iloc[:0]), "at least 4"),
        (lambda c: count_by_mixture(c.iloc[:1]), "at least 4"),
        (lambda c: count_by_mixture(c, 0), "components=0"),
        (lambda c: count_by_mixture(c, width="wide"), "width='wide'"),
        (lambda c: count_by_mixture(c, first=-1), "first=-1"),
        (lambda c: count_by_mixture(c, value="height"), "'height'"),
        (lambda c: count_by_mixture(c, max_components=0), "max_components=0"),
        (lambda c: count_by_mixture(c.iloc[:5], 9), "components=9"),
        (lambda c: count_by_library(c, []), "grow"),
        (lambda c: count_by_library(c, [2.0, 1.0]), "grow"),
        (lambda c: count_by_library(c, [1.0], scale=0.0), "scale"),
        (lambda c: count_by_library(c, pd.DataFrame({"count": [1]})), "section"),
        (lambda c: count_by_library(c.iloc[:0], [1.0]), "finite value"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(cross_sections(wedge(50)))


@pytest.mark.slow
def test_a_hundred_thousand_columns_take_seconds():
    columns = cross_sections(wedge(100_000))
    start = time.process_time()
    counts = count_by_library(columns, SLOPE * np.arange(1, 11))
    assert (counts.columns["count"] == columns["true"]).mean() > 0.99
    assert time.process_time() - start < 30.0


@pytest.mark.slow
def test_atoms_of_a_simulated_wedge_are_counted_through_its_image():
    simulation = atomseg.simulate(
        *("Au", (0, 0, 1), (256, 256), 0.1, 3e5),
        thickness=33.0,
        shape_kind="wedge",
        gamma=1.7,
        seed=2,
        jitter=0.0,
        source_size=0.5,
    )
    found = atomseg.localize(
        simulation.image, sampling=0.1, detector="peaks", refine="joint", edge="drop"
    )
    truth = simulation.columns
    known = truth.loc[(truth["atoms"] > 0) & (truth["atoms"] <= 12)]
    unit = float((truth["cross_section"] / truth["atoms"]).median())
    i, j = match(found, known, 3.0)
    assert len(i) > 60
    sections = found.iloc[i].reset_index(drop=True)
    counts = count_by_library(sections, unit * np.arange(1, 16), sampling=0.1, scale=None)
    away = counts.columns["count"].to_numpy(int) - known["atoms"].to_numpy(int)[j]
    assert np.mean(np.abs(away) <= 1) > 0.9


def crystal(side=5):
    """Counted columns of fcc gold along [001], thick in the middle; two heights."""
    i, j = np.mgrid[:side, :side].reshape(2, -1)
    count = 1 + 2 * np.minimum(np.minimum(i, side - 1 - i), np.minimum(j, side - 1 - j))
    step = 4.08 / 2 / 0.1
    return pd.DataFrame(
        {"y": step * i, "x": step * j + 3.0, "count": count, "odd": (i + j) % 2, "count_err": 0.1}
    )


def test_the_model_is_the_crystal_with_the_counted_atoms():
    columns = crystal()
    heights = 2.04 * columns["odd"].to_numpy()
    atoms = start_model(columns, 4.08, sampling=0.1, element="Au", heights=heights)
    assert len(atoms) == columns["count"].sum()
    assert set(atoms.symbols) == {"Au"}
    per_column = np.bincount(atoms.arrays["column"], minlength=len(columns))
    assert (per_column == columns["count"]).all()
    # Nearest neighbours of gold; the image's x is ASE's.
    distance = atoms.get_all_distances()
    np.fill_diagonal(distance, np.inf)
    assert distance.min() == pytest.approx(4.08 / np.sqrt(2), rel=1e-9)
    assert atoms.positions[:, 0] == pytest.approx(
        0.1 * columns["x"].to_numpy()[atoms.arrays["column"]]
    )
    # All stand on the planes of one crystal, about one middle.
    assert np.ptp((atoms.positions[:, 2] / 2.04) % 1.0) % 1.0 == pytest.approx(0.0, abs=1e-6)
    middles = pd.Series(atoms.positions[:, 2]).groupby(atoms.arrays["column"]).mean()
    assert np.ptp(middles) <= 2.04 + 1e-9
    assert np.all(atoms.positions > -1e-9)
    assert not atoms.pbc.any()
    assert atoms.arrays["count_err"] == pytest.approx(0.1)


def test_a_model_comes_back_from_a_file_as_it_was_counted(tmp_path):
    from ase.io import read

    columns = crystal()
    heights = 2.04 * columns["odd"].to_numpy()
    atoms = start_model(columns, 4.08, sampling=0.1, element="Au", heights=heights)
    # 5 Å of vacuum, but before x and y, which stay those of the image.
    assert atoms.cell.lengths() == pytest.approx(atoms.positions.max(axis=0) + 5.0)
    assert atoms.positions[:, 2].min() == pytest.approx(5.0)
    for name in ("model.xyz", "model.traj", "model.cif"):
        atoms.write(tmp_path / name)
        back = read(tmp_path / name)
        assert back.cell.lengths() == pytest.approx(atoms.cell.lengths(), abs=1e-3)
        assert back.positions == pytest.approx(atoms.positions, abs=1e-3)
        assert not back.pbc.any() or name == "model.cif"
        places = columns[["x", "y"]].to_numpy() * 0.1
        apart = np.linalg.norm(back.positions[:, None, :2] - places, axis=2)
        assert apart.min(axis=1).max() < 1e-3
        assert (np.bincount(apart.argmin(axis=1)) == columns["count"]).all()
    assert (read(tmp_path / "model.xyz").arrays["column"] == atoms.arrays["column"]).all()


def test_a_model_on_a_support_has_a_flat_side():
    columns = crystal()
    atoms = start_model(columns, 4.08, sampling=0.1, element="Au", align="bottom")
    lowest = pd.Series(atoms.positions[:, 2]).groupby(atoms.arrays["column"]).min()
    assert np.ptp(lowest) == pytest.approx(0.0)


def test_elements_and_heights_by_sublattice():
    columns = pd.DataFrame(
        {"y": [0, 0, 9], "x": [0, 9, 0], "count": [2, 3, 1], "sublattice": [0, 1, -1]}
    )
    atoms = start_model(
        columns.iloc[:2],
        4.0,
        sampling=0.2,
        element={0: "Sr", 1: "Ti"},
        heights={0: 0.0, 1: 2.0},
        align="bottom",
    )
    assert str(atoms.symbols) == "Sr2Ti3"
    assert atoms.positions[:, 2] - 5.0 == pytest.approx([0, 4, 2, 6, 10])
    with pytest.raises(ValueError, match="no symbol"):
        start_model(columns, 4.0, sampling=0.2, element={0: "Sr", 1: "Ti"})
    with pytest.raises(ValueError, match="heights"):
        start_model(columns, 4.0, sampling=0.2, element="Sr", heights={0: 0.0, 1: 2.0})


def test_columns_without_a_count_have_no_atoms():
    columns = crystal()
    columns["count"] = columns["count"].astype("Int64")
    columns.loc[0, "count"] = pd.NA
    assert 0 not in start_model(columns, 4.08, sampling=0.1, element="Au").arrays["column"]
    assert len(start_model(columns.iloc[:0], 4.08, sampling=0.1, element="Au")) == 0
    for bad, message in (
        ({"spacing": 0.0}, "spacing"),
        ({"align": "top"}, "align"),
        ({"element": "Gold"}, "Gold"),
        ({"sampling": 0.0}, "sampling"),
    ):
        with pytest.raises(ValueError, match=message):
            start_model(
                **{"columns": columns, "spacing": 4.0, "sampling": 0.1, "element": "Au", **bad}
            )
    with pytest.raises(ValueError, match="'count'"):
        start_model(columns[["y", "x"]], 4.0, sampling=0.1, element="Au")
