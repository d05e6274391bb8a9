import numpy as np
import pandas as pd
import pytest

from napari_atomseg.evaluation import Case, Outcome
from napari_atomseg.evaluation.measure import image_scores, measure
from napari_atomseg.evaluation.report import summarize

SHAPE = (100, 120)


def lattice(spacing=20.0):
    y, x = np.mgrid[5 : SHAPE[0] : spacing, 5 : SHAPE[1] : spacing]
    return pd.DataFrame({"y": y.ravel(), "x": x.ravel()}).astype(float)


def case(columns, sampling=0.2):
    rng = np.random.default_rng(3)
    image = rng.random(SHAPE).astype(np.float32)
    return Case("made-0000", image, image, columns, sampling)


def table_of(one, outcome):
    row, columns = measure(one, outcome)
    about = {"data": "made", "dose": np.nan, "case": one.name, "method": "m"}
    cases = pd.DataFrame([{**about, "seconds": 1.0, "error": "", **row}])
    return summarize(cases, columns.assign(**about, sampling=one.sampling)).iloc[0]


def test_known_errors_of_positions_come_out_in_pixels_picometres_and_bounds():
    known = lattice().assign(bound=0.25)
    found = known[["y", "x"]].copy()
    sign = np.where(np.arange(len(found)) % 2, 1.0, -1.0)
    found["y"] += 0.3 * sign
    found["x"] -= 0.4 * sign
    row = table_of(case(known), Outcome(columns=found))
    assert row["rmse_px"] == pytest.approx(0.5)
    assert row["rmse_pm"] == pytest.approx(0.5 * 0.2 * 100)
    assert row["rmse_bound"] == pytest.approx(2.0)
    assert (row["precision"], row["recall"], row["f1"]) == (1.0, 1.0, 1.0)


def test_normal_errors_at_the_bound_have_both_ratios_one():
    rng = np.random.default_rng(5)
    known = lattice(4.0)
    bound = rng.uniform(0.05, 0.3, len(known))
    step = rng.standard_normal((2, len(known))) * bound / np.sqrt(2)
    found = known + step.T
    found["y_err"] = found["x_err"] = bound / np.sqrt(2)
    row = table_of(case(known.assign(bound=bound)), Outcome(columns=found))
    assert row["rmse_bound"] == pytest.approx(1.0, abs=0.05)
    assert row["median_bound"] == pytest.approx(1.0, abs=0.05)
    assert row["cover68"] == pytest.approx(0.68, abs=0.03)
    assert row["cover95"] == pytest.approx(0.95, abs=0.02)


def test_precision_and_recall_of_missing_and_invented_columns():
    known = lattice()
    found = pd.concat([known.iloc[:20], pd.DataFrame({"y": [15.0] * 5, "x": [15.0] * 5})])
    row = table_of(case(known), Outcome(columns=found))
    assert row["precision"] == pytest.approx(20 / 25)
    assert row["recall"] == pytest.approx(20 / 30)
    assert row["f1"] == pytest.approx(2 * 20 / (25 + 30))
    assert row["false"] == 5


def test_columns_too_faint_to_be_seen_count_neither_way():
    known = lattice()
    known["snr"] = np.where(np.arange(len(known)) < 10, 1.0, 50.0)
    for found in (known, known.iloc[10:]):
        row = table_of(case(known), Outcome(columns=found[["y", "x"]]))
        assert (row["precision"], row["recall"], row["false"]) == (1.0, 1.0, 0.0)


def test_what_may_be_a_column_beyond_the_border_counts_neither_way():
    known = lattice()
    border = pd.DataFrame({"y": [-0.4, 50.0, 99.2], "x": [15.0, 117.5, 60.0]})
    inner = pd.DataFrame({"y": [15.0], "x": [15.0]})
    row = table_of(case(known), Outcome(columns=pd.concat([known, border])))
    assert (row["precision"], row["false"]) == (1.0, 0.0)
    row = table_of(case(known), Outcome(columns=pd.concat([known, border, inner])))
    assert row["false"] == 1.0


def test_false_columns_far_from_all_matter_are_told_from_those_within():
    known = lattice()
    known = known[known["x"] < 50]
    false = pd.DataFrame({"y": [15.0, 50.0, 60.0], "x": [15.0, 110.0, 90.0]})
    row, _ = measure(case(known), Outcome(columns=pd.concat([known, false])))
    assert row["found"] - row["hits"] == 3
    assert row["away"] == 2


def test_recall_at_the_edge_is_that_of_the_outermost_columns_alone():
    known = lattice(10.0)
    known = known[known["x"].between(20, 90) & known["y"].between(20, 80)]
    edge = ~(known["x"].between(30, 80) & known["y"].between(30, 70))
    assert edge.sum() == 22
    row = table_of(case(known), Outcome(columns=known[~edge]))
    assert (row["edge_recall"], row["recall"]) == (0.0, (~edge).mean())
    assert table_of(case(known), Outcome(columns=known[edge]))["edge_recall"] == 1.0
    faint = known.assign(snr=np.where(edge, 1.0, 50.0))
    assert np.isnan(table_of(case(faint), Outcome(columns=known))["edge_recall"])


def test_every_column_of_an_empty_image_is_false():
    nothing = pd.DataFrame({"y": [], "x": []}, dtype=float)
    row = table_of(case(nothing), Outcome(columns=lattice().assign(score=0.9)))
    assert row["false"] == row["away"] == len(lattice())
    assert np.isnan(row["f1"])
    assert row["ece"] == pytest.approx(0.9)


def test_positions_at_the_border_are_not_measured():
    known = lattice()
    found = known.copy()
    border = (known["y"] < 10) | (known["x"] < 10) | (known["y"] > 89) | (known["x"] > 109)
    found.loc[border, "y"] += 1.0
    assert table_of(case(known), Outcome(columns=found))["rmse_px"] == 0.0


def test_volume_error_is_relative_and_apart_from_the_bias():
    known = lattice().assign(volume=50.0)
    found = known.assign(volume=known["volume"] * np.where(np.arange(len(known)) % 2, 1.1, 1.3))
    row = table_of(case(known), Outcome(columns=found))
    inner = measure(case(known), Outcome(columns=found))[1]["volume"].dropna()
    assert row["volume_bias"] == pytest.approx(inner.median() - 1)
    expected = np.sqrt(np.mean((inner / inner.median() - 1) ** 2))
    assert row["volume_error"] == pytest.approx(expected)


def test_image_scores_are_those_of_closed_forms():
    truth = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    offset = image_scores(truth + 0.1 * np.ptp(truth), truth)
    assert offset["psnr"] == pytest.approx(20.0, abs=1e-3)
    assert offset["psnr_affine"] > 100
    assert offset["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(list(image_scores(truth, np.zeros_like(truth)).values())).all()
