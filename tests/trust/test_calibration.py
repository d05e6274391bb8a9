from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import weights
from napari_atomseg.trust.calibration import (
    SHIPPED,
    SUFFIX,
    Calibration,
    calibration_error,
    features,
    find_calibration,
    fit_weights,
    read_calibrations,
)
from napari_atomseg.trust.scores import Evidence


def seen(signal, roundness=1.0, order=1.0):
    """Evidence of columns with so much signal (N,)."""
    signal = np.asarray(signal, dtype=float)
    unknown = np.full_like(signal, np.nan)
    return Evidence(
        unknown, signal, unknown, np.full_like(signal, roundness), np.full_like(signal, order)
    )


KNOWN = {
    "model": "mine",
    "recipe": "columns",
    "weights": (-1.0, 1.5, 0.5, 0.8, 0.6),
    "signal": 1.0,
    "contrast": (0.0, 8.0),
    "spacing": (5.0, 30.0),
}


@given(
    peak=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6),
    signal=st.floats(-3.0, 300.0),
    more=st.floats(0.0, 50.0),
)
def test_more_signal_or_a_higher_peak_never_lowers_the_probability(peak, signal, more):
    calibration = Calibration(**KNOWN)
    peaks, signals = np.array(peak), np.full(len(peak), signal)
    before = calibration.probability(peaks, seen(signals))
    assert ((before >= 0) & (before <= 1)).all()
    assert (calibration.probability(peaks, seen(signals + more)) >= before - 1e-12).all()
    assert (calibration.probability((peaks + 1) / 2, seen(signals)) >= before - 1e-12).all()


def test_a_column_without_signal_is_less_probable_the_clearer_the_others_are():
    calibration = Calibration(**KNOWN)
    peaks = np.full(9, 0.9)
    chances = [
        calibration.probability(peaks, seen([0.5] + [clear] * 8))[0] for clear in (0.5, 3, 30)
    ]
    assert chances[0] > chances[1] > chances[2]


def test_round_columns_in_order_are_more_probable_where_the_calibration_knows_of_it():
    peaks, plain = np.full(9, 0.7), Calibration(**KNOWN)
    aware = plain.model_copy(update={"weights": (*KNOWN["weights"], 1.5, 3.0)})
    assert aware.knows_order
    assert not plain.knows_order
    for low in ({"roundness": 0.1}, {"order": 0.1}):
        less = seen(np.full(9, 5.0), **low)
        assert (
            aware.probability(peaks, less) < aware.probability(peaks, seen(np.full(9, 5.0)))
        ).all()
        assert (
            plain.probability(peaks, less) == plain.probability(peaks, seen(np.full(9, 5.0)))
        ).all()


def test_the_weights_that_made_the_labels_are_found():
    rng = np.random.default_rng(0)
    peaks, signals = rng.uniform(0.45, 1.0, (400, 30)), rng.lognormal(1.0, 1.0, (400, 30))
    terms = np.concatenate(
        [features(p, seen(s))[:, :5] for p, s in zip(peaks, signals, strict=True)]
    )
    truth = Calibration(**KNOWN)
    chance = np.concatenate(
        [truth.probability(p, seen(s)) for p, s in zip(peaks, signals, strict=True)]
    )
    real = (rng.uniform(size=len(chance)) < chance).astype(float)
    fitted = truth.model_copy(update={"weights": fit_weights(terms, real)})
    again = np.concatenate(
        [fitted.probability(p, seen(s)) for p, s in zip(peaks, signals, strict=True)]
    )
    assert np.abs(again - chance).mean() < 0.02


def test_a_slope_is_never_negative():
    rng = np.random.default_rng(1)
    terms = features(rng.uniform(0.4, 1.0, 300), seen(np.ones(300)))
    assert min(fit_weights(terms, (terms[:, 1] < 0.5).astype(float))[1:]) >= 0.0


def test_the_calibration_error_of_a_constant_is_its_distance_from_the_share():
    real = np.repeat([1.0, 0.0], [30, 70])
    np.random.default_rng(0).shuffle(real)
    assert calibration_error(np.full(100, 0.7), real, bins=1) == pytest.approx(0.4)
    assert calibration_error(real, real) == 0.0


def test_no_columns_have_no_probabilities():
    assert Calibration(**KNOWN).probability(np.zeros(0), seen([])).shape == (0,)


def test_the_default_model_is_calibrated_and_what_is_shipped_is_published():
    path = weights.resolve()
    calibration = find_calibration(weights.sha256(path))
    assert calibration is not None
    assert calibration.scores["ece"] < 0.05
    assert calibration.scores["mean_on_noise"] < 0.35
    for each in read_calibrations(SHIPPED, 0).values():
        assert each.model in set(weights.models().name)


def test_a_calibration_beside_a_model_of_ones_own_is_used(tmp_path):
    path = tmp_path / "mine.safetensors"
    assert find_calibration("0" * 64, path) is None
    beside = tmp_path / f"mine{SUFFIX}"
    beside.write_text(json.dumps({"0" * 64: KNOWN}))
    found = find_calibration("0" * 64, path)
    assert found is not None
    assert found.model == "mine"
    assert find_calibration("1" * 64, path) is None
    beside.write_text("{]")
    with pytest.raises(OSError, match="mine"):
        find_calibration("0" * 64, path)
