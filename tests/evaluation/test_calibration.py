import numpy as np
import pytest

from napari_atomseg.evaluation import coverage, expected_calibration_error, reliability


def test_scores_that_are_probabilities_have_no_calibration_error():
    score = np.repeat([0.25, 0.75], 400)
    hit = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    assert expected_calibration_error(score, hit) == pytest.approx(0.0, abs=1e-12)


def test_calibration_error_is_the_mean_overconfidence():
    score = np.repeat([0.95, 0.55], [300, 100])
    hit = np.concatenate([np.arange(300) < 225, np.arange(100) < 55])  # 0.75 and 0.55 are right
    assert expected_calibration_error(score, hit) == pytest.approx(0.75 * 0.2)


def test_reliability_counts_every_score_once_also_those_of_one():
    table = reliability([0.0, 0.05, 0.31, 1.0, np.nan], [0, 1, 1, 1, 0])
    assert table["low"].tolist() == pytest.approx([0.0, 0.3, 0.9])
    assert table["count"].tolist() == [2, 1, 1]
    assert table["right"].tolist() == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_error_bars_of_normal_errors_cover_their_level(level):
    rng = np.random.default_rng(0)
    bars = rng.uniform(0.1, 3.0, 40_000)
    errors = bars * rng.standard_normal(40_000)
    assert coverage(errors, bars, level) == pytest.approx(level, abs=0.01)
    assert coverage(errors, 10 * bars, level) == 1.0


def test_nothing_known_is_not_a_number():
    assert np.isnan(coverage([np.nan], [1.0], 0.68))
    assert np.isnan(expected_calibration_error([np.nan], [1]))
