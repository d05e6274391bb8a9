"""Where cross-sections do not give numbers of atoms, that is said, and none are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import count_by_library, count_by_mixture
from napari_atomseg.measurements import measure

SLOPE = 2.0


def sections(atoms, scatter=0.3, *, power=1.0, background=0.0, seed=0):
    rng = np.random.default_rng(seed)
    volume = SLOPE * np.asarray(atoms, float) ** power + background
    return pd.DataFrame(
        {"volume": volume + rng.normal(0.0, scatter, len(volume)), "volume_err": 0.0}
    )


def wedge(columns=300, low=1, high=6, seed=0):
    return np.random.default_rng(seed).integers(low, high + 1, columns)


UNTOLD = {
    "one class without a scale": (sections(np.full(200, 5)), {}, "no scale"),
    "steps that the noise hides": (sections(wedge(140, 3, 12), 1.2), {}, "one class"),
    "a continuum": (
        sections(np.random.default_rng(0).uniform(3.0, 12.0, 140), 0.2),
        {},
        "one class",
    ),
    "light of the background": (sections(wedge(), background=1.0), {}, "no whole number"),
    "sections that bend": (sections(wedge(low=2, high=8), power=0.8), {}, "add the same"),
    "one broad class with its number": (
        sections(wedge(140, 3, 12), 1.2),
        {"first": 3},
        "an atom wide",
    ),
    "debris and a particle": (
        sections(np.r_[np.full(20, 1.0), np.full(100, 7.0)], 0.3),
        {"first": 1},
        "times the cross-section",
    ),
    "a class that is missing": (
        sections(np.random.default_rng(1).choice([1, 2, 3, 4, 7], 300)),
        {"first": 1},
        "equal steps",
    ),
}


GOLD = (0.0164, 0.0362, 0.0627, 0.0953, 0.1290, 0.1609, 0.1920, 0.2203)
"""Multislice cross-sections (Å²) of 1 to 8 atoms along [001], of `measure library`."""


@pytest.mark.parametrize(("low", "high"), [(2, 7), (3, 6), (4, 5), (6, 7)])
def test_a_line_through_classes_that_bend_below_them_says_what_else_is_possible(low, high):
    rng = np.random.default_rng(0)
    atoms = np.repeat(np.arange(low, high + 1), 25)
    volume = np.take(GOLD, atoms - 1) + rng.normal(0.0, 0.001, len(atoms))
    columns = pd.DataFrame({"volume": volume, "volume_err": 0.001})
    counts = count_by_mixture(columns, max_components=6)
    assert counts.first_range[0] <= low <= counts.first_range[1]
    said = measure("counts", columns.assign(y=0.0, x=np.arange(len(atoms)) * 10.0))
    assert f"if the thinnest have {counts.numbers[0]}" in said.headline
    assert any(line.startswith("Caution") for line in said.lines)
    given = count_by_mixture(columns, max_components=6, first=low)
    assert given.first_range is None
    assert (given.columns["count"] == atoms).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", UNTOLD)
def test_numbers_that_cannot_be_told_are_not_told(case):
    columns, options, why = UNTOLD[case]
    counts = count_by_mixture(columns, max_components=9, **options)
    assert not counts.known
    assert any(why in doubt.reason for doubt in counts.doubts), counts.doubts
    assert all(doubt.remedy for doubt in counts.doubts)
    assert counts.columns["count"].isna().all()
    assert np.isnan(counts.total).all()


def test_report_says_why_and_what_to_try():
    columns, options, why = UNTOLD["debris and a particle"]
    report = measure("counts", columns.assign(y=0.0, x=np.arange(len(columns))), **options)
    text = str(report)
    assert "cannot be told" in text
    assert why in text
    assert "Try: " in text
    assert "in all" not in text
    assert "count" not in report.tables["Classes"]
    assert report.columns["count"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("columns", "low", "high"), [(400, 1, 3), (140, 3, 10), (60, 1, 6)])
def test_clear_classes_are_told(columns, low, high, seed):
    atoms = wedge(columns, low, high, seed)
    counts = count_by_mixture(sections(atoms, 0.25, seed=seed))
    assert counts.known, counts.doubts
    assert (counts.columns["count"] == atoms).mean() > 0.98


@pytest.mark.parametrize(
    "value", ["dx", "dy_pm", "shift", "shift_pm", "sigma", "y_err", "volume_err", "eps_xx", "count"]
)
def test_features_that_are_no_cross_sections_are_refused(value):
    columns = sections(wedge()).rename(columns={"volume": value})
    columns = columns.assign(y=0.0, x=np.arange(len(columns), dtype=float))
    for call in (
        lambda: count_by_mixture(columns, value=value),
        lambda: count_by_library(columns, SLOPE * np.arange(1, 7), value=value),
        lambda: measure("counts", columns, value=value),
    ):
        with pytest.raises(ValueError, match="no cross-section"):
            call()


@pytest.mark.slow
def test_species_are_not_counted_together():
    columns = sections(wedge()).assign(species="Sr")
    columns.loc[::2, "species"] = "Ti"
    with pytest.raises(ValueError, match="150 of Sr"):
        count_by_mixture(columns)
    with pytest.raises(ValueError, match="several species"):
        count_by_library(columns, SLOPE * np.arange(1, 7))
    alone = columns[columns["species"] == "Sr"].reset_index(drop=True)
    assert count_by_mixture(alone).known


def lattice(weak):
    """Two square sublattices; columns of the second have `weak` of the cross-section."""
    steps = np.mgrid[:10, :10].reshape(2, -1).T * 40.0
    rng = np.random.default_rng(0)
    parts = []
    for offset, factor in ((0.0, 1.0), (20.0, weak)):
        places = steps + offset + rng.normal(0, 0.3, steps.shape)
        atoms = 4 + (steps[:, 1] > 180)
        volume = factor * 100.0 * atoms * rng.normal(1.0, 0.01, len(steps))
        parts.append(pd.DataFrame({"y": places[:, 0], "x": places[:, 1], "volume": volume}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_sublattices_of_two_kinds_are_not_counted_together():
    with pytest.raises(ValueError, match="several kinds"):
        count_by_mixture(lattice(0.46), first=4)
    # The alternating planes of a slab differ by one atom of a few.
    slab = count_by_mixture(lattice(0.8), first=3)
    assert slab.known


@pytest.mark.slow
def test_columns_left_out_are_named_with_the_reason():
    columns = sections(wedge(100, 1, 5)).assign(converged=True)
    columns.loc[[3, 70], ["volume", "converged"]] = [np.nan, False]
    columns.loc[5, "volume"] = -1.0
    columns.loc[9, "volume"] = 1e6
    columns = columns.assign(y=np.arange(100.0), x=1.0)
    counts = count_by_mixture(columns)
    assert counts.left_out["column"].tolist() == [3, 5, 9, 70]
    assert (
        counts.left_out["reason"].iloc[0] == counts.left_out["reason"].iloc[3] == "the fit failed"
    )
    report = measure("counts", columns, sampling=0.1)
    assert "Left out: 4 of 100 columns (2 the fit failed" in str(report)
    (mark,) = report.marks
    np.testing.assert_allclose(mark.places[:, 0], [3, 5, 9, 70])
    library = count_by_library(columns, SLOPE * np.arange(1, 5))
    assert (library.left_out["reason"] == "cross-section beyond the library").sum() > 0


@pytest.mark.slow
def test_curve_of_the_criterion_is_shown():
    columns = sections(wedge(200, 1, 5)).assign(y=0.0, x=np.arange(200.0))
    report = measure("counts", columns, sampling=0.1)
    curve = report.tables["Criterion"]
    assert {"classes", "icl_common", "icl_growing"} == set(curve)
    assert curve["classes"].iloc[curve["icl_common"].argmin()] == 5
    assert report.plot.marked == 5.0
    assert set(report.plot.values) == {"common width", "growing width"}


def test_library_that_does_not_reach_the_columns_does_not_count_them():
    columns = sections(wedge(200, 1, 8), 0.2)
    counts = count_by_library(columns, SLOPE * np.arange(1, 5))
    assert not counts.known
    assert "beyond the library" in counts.doubts[0].reason
    assert counts.columns["count"].isna().all()
