from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_atomseg.networks.card import ModelCard
from napari_atomseg.trust.calibration import Calibration
from napari_atomseg.trust.judge import INSIDE, UNKNOWN, TrainingRange, region_in_range
from napari_atomseg.trust.scores import Evidence

LIMITS = TrainingRange(sampling=(0.05, 0.3), spacing=(5.0, 30.0), signal=2.0, contrast=(0.2, 6.0))
Y, X = (v.ravel() for v in np.mgrid[:50:10, :50:10].astype(float))


def seen(signal: float = 10.0, contrast: float = 2.0, order: float = 0.9) -> Evidence:
    """Evidence of 25 columns alike."""
    values = (0.0, signal, contrast, 0.8, order)
    return Evidence(*(np.full(25, value) for value in values))


def test_an_image_like_the_training_is_inside():
    flags = LIMITS.flags(Y, X, seen(), 1.0)
    assert not any(flag.any() for flag in flags.values())
    assert LIMITS.verdict([flags], 0.1, 10.0) == INSIDE
    assert LIMITS.verdict([], None, None) == UNKNOWN


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (seen(signal=1.0), "fainter"),
        (seen(contrast=9.0), "contrast"),
        (seen(contrast=0), "contrast"),
    ],
)
def test_columns_unlike_those_of_the_training_are_named(evidence, reason):
    flags = LIMITS.flags(Y, X, evidence, 1.0)
    assert np.any(list(flags.values()), axis=0).all()
    verdict = LIMITS.verdict([flags], 0.1, 10.0)
    assert verdict.startswith("outside")
    assert "100 % of the columns" in verdict
    assert reason in verdict


def test_columns_without_two_dimensional_order_are_named_where_there_are_many():
    limits = replace(LIMITS, ordered=True)
    flags = limits.flags(Y, X, seen(order=0.1), 1.0)
    assert flags["order"].all()
    assert "100 % of the columns have no two-dimensional order" in limits.verdict([flags], 0.1, 10)
    assert limits.verdict([limits.flags(Y, X, seen(), 1.0)], 0.1, 10.0) == INSIDE
    assert "order" not in LIMITS.flags(Y, X, seen(order=0.1), 1.0)
    few = Evidence(*(np.full(5, value) for value in (0.0, 10.0, 2.0, 0.8, 0.0)))
    assert "order" not in limits.flags(Y[:5], X[:5], few, 1.0)


def test_images_in_which_most_detections_are_unlikely_are_outside():
    assert "80 % of the network's detections" in LIMITS.verdict([], 0.1, 10.0, doubted=0.8)
    assert LIMITS.verdict([], 0.1, 10.0, doubted=0.3) == INSIDE


def test_scale_and_distance_are_judged_as_the_network_sees_them():
    assert LIMITS.flags(Y, X, seen(), 0.25)["distance"].all()
    assert not LIMITS.flags(Y, X, seen(), 1.0)["distance"].any()
    verdict = LIMITS.verdict([], 0.5, 60.0)
    assert "pixels of 0.5 Å (trained on 0.05-0.3 Å)" in verdict
    assert "60 px apart (trained on 5-30 px)" in verdict


def test_a_lone_column_and_unknown_evidence_are_not_flagged():
    flags = LIMITS.flags(Y[:1], X[:1], Evidence.unknown(1), 1.0)
    assert not any(flag.any() for flag in flags.values())


def test_limits_come_from_the_calibration_and_else_from_the_card():
    card = ModelCard(
        name="m",
        architecture="unet",
        tasks=("column_map",),
        normalisation="",
        sampling_range=(0.1, 0.2),
        spacing_range=(6.0, 20.0),
    )
    assert TrainingRange.of(card, None) == TrainingRange((0.1, 0.2), (6.0, 20.0))
    calibration = Calibration(
        model="m",
        recipe="columns",
        weights=(0.0, 1.0, 0.0, 0.0, 0.0),
        signal=1.5,
        contrast=(0.1, 5.0),
        spacing=(4.0, 25.0),
    )
    assert TrainingRange.of(card, calibration) == TrainingRange(
        (0.1, 0.2), (4.0, 25.0), 1.5, (0.1, 5.0)
    )


def test_a_region_takes_the_flag_of_its_nearest_column():
    y, x = np.array([10.0, 30.0]), np.array([20.0, 20.0])
    mask = region_in_range((60, 40), y, x, np.array([True, False]), reach=12.0)
    assert mask[15, 20]
    assert not mask[25, 20]
    assert mask[50, 20]
    assert region_in_range((4, 5), y[:0], x[:0], np.zeros(0, bool), 3.0).all()


def test_a_model_for_which_spacing_does_not_matter_flags_none():
    limits = TrainingRange(None, None)
    assert limits.flags(Y, X, Evidence.unknown(len(Y)), 0.1) == {}
    assert limits.verdict([{}], 0.2, 500.0) == INSIDE
