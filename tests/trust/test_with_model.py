"""The shipped model on images with vacancies and on noise: nothing may be invented unnoticed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg import simulation
from napari_atomseg.trust import consistency
from napari_atomseg.trust.calibration import calibration_error
from napari_atomseg.trust.judge import LIKELY


@pytest.fixture(scope="module")
def noise_tables():
    """All that is found in twenty images without anything, however unlikely."""
    rng = np.random.default_rng(11)
    images = [rng.poisson(level, (96, 96)) for level in np.geomspace(0.3, 300.0, 10)]
    images += [rng.normal(size=(96, 96)) for _ in range(10)]
    return [atomseg.localize(image, refine="none", device="cpu", min_score=0.0) for image in images]


@pytest.mark.slow
def test_noise_does_not_become_a_lattice(noise_tables):
    counts = [(table.score >= LIKELY).sum() for table in noise_tables]
    assert np.mean(counts) < 2.0  # a lattice of the usual scale has 60 columns
    assert max(counts) < 6


@pytest.mark.slow
def test_what_is_more_likely_noise_is_dropped(noise_tables):
    rng = np.random.default_rng(11)
    image = rng.poisson(0.3, (96, 96))
    likely = atomseg.localize(image, refine="none", device="cpu")
    assert len(likely) == (noise_tables[0].score >= LIKELY).sum() < len(noise_tables[0])
    sure = atomseg.localize(image, refine="none", device="cpu", min_score=0.99)
    assert len(sure) == 0


def test_what_is_seen_in_noise_has_a_low_score(noise_tables):
    table = pd.concat(noise_tables)
    assert len(table) > 10
    assert table.score.mean() < 0.55
    assert table.score.max() < 0.95


def test_restored_noise_is_nearly_flat():
    image = np.random.default_rng(4).poisson(20.0, (128, 128)).astype(float)
    restored = atomseg.restore(image, device="cpu")
    assert restored.std() < 0.35 * image.std()
    assert np.abs(consistency(image, restored).z).max() < 5.5


@pytest.fixture(scope="module")
def holed():
    """A layer of platinum, whole and with a tenth of its atoms missing."""
    arguments = {"shape": (160, 160), "sampling": 0.14, "dose": 2e4, "thickness": 2.5, "seed": 8}
    whole = simulation.simulate("Pt", (0, 1, 1), **arguments)
    holes = simulation.simulate("Pt", (0, 1, 1), vacancies=0.1, **arguments)
    return whole, holes


def places(whole, holes):
    """Pixels of the columns that are missing, and of those that are not, away from the border."""
    y, x = np.rint(whole.columns[["y", "x"]].to_numpy()).astype(int).T
    inside = (y > 12) & (y < 148) & (x > 12) & (x < 148)
    y, x = y[inside], x[inside]
    gone = holes.ideal[y, x] < 0.4 * whole.ideal[y, x]
    return (y[gone], x[gone]), (y[~gone], x[~gone])


def test_vacancies_are_not_filled(holed):
    whole, holes = holed
    gone, _ = places(whole, holes)
    assert len(gone[0]) > 4
    restored = atomseg.restore(holes.image, sampling=holes.sampling, device="cpu")
    assert np.abs(restored[gone] - holes.ideal[gone]).max() < 0.3 * whole.ideal[gone].min()
    assert np.abs(consistency(holes.image, restored).z[gone]).max() < 4.0


@pytest.mark.slow
def test_no_column_is_believed_at_a_vacancy(holed):
    whole, holes = holed
    gone, there = places(whole, holes)
    table = atomseg.localize(holes.image, sampling=holes.sampling, refine="none", device="cpu")
    found = table[["y", "x"]].to_numpy()
    for sites, least, most in ((gone, 0.0, 0.1), (there, 0.95, 1.0)):
        distance = np.hypot(*(found[:, None, k] - np.array(sites[k])[None] for k in (0, 1)))
        assert least <= (distance.min(axis=0) < 3.0).mean() <= most


def test_filled_vacancies_are_flagged(holed):
    whole, holes = holed
    gone, there = places(whole, holes)
    restored = atomseg.restore(holes.image, sampling=holes.sampling, device="cpu")
    filled = restored + (whole.ideal - holes.ideal)
    test = consistency(holes.image, filled)
    assert test.z[gone].max() < -8.0
    assert np.abs(test.z[there]).max() < 8.0
    assert "too much" in test.summary()


@pytest.mark.slow
def test_scores_hold_on_crystals_at_any_dose(noise_tables):
    scores = [table.score.to_numpy() for table in noise_tables]
    real = [np.zeros(len(table)) for table in noise_tables]
    for crystal, axis in (("SrTiO3", (0, 0, 1)), ("Pt", (0, 1, 1)), ("graphene", (0, 0, 1))):
        for dose in (300.0, 2e3, 2e4):
            shown = simulation.simulate(
                crystal, axis, shape=(112, 112), sampling=0.16, dose=dose, seed=int(dose)
            )
            table = atomseg.localize(shown.image, sampling=0.16, refine="none", device="cpu")
            near = max(2.0, 0.5 * float(shown.columns.radius.median()))
            hits = np.zeros(len(table))
            hits[atomseg.analyze.match(table, shown.columns, near)[0]] = 1.0
            scores.append(table.score.to_numpy())
            real.append(hits)
    score, truth = np.concatenate(scores), np.concatenate(real)
    assert len(score) > 400
    assert calibration_error(score, truth) < 0.09
    assert score[truth > 0].mean() > 0.85


@pytest.mark.slow
def test_the_table_says_what_it_was_judged_by(holed):
    _, holes = holed
    table = atomseg.localize(holes.image, sampling=holes.sampling, refine="none", device="cpu")
    assert table.attrs["calibrated"] is True
    assert table.attrs["training_range"] == "inside the training range"
    assert table.in_range.mean() > 0.9
    assert table.score.median() > 0.9
    assert table.signal.median() > 5.0
    assert table.consistency.abs().median() < 1.0


@pytest.mark.slow
def test_dark_columns_are_judged_like_bright_ones(holed):
    _, holes = holed
    bright = atomseg.localize(holes.image, contrast="bright", refine="none", device="cpu")
    dark = atomseg.localize(-holes.image, contrast="dark", refine="none", device="cpu")
    # Half precision rounds other numbers: what is at the limit may differ.
    assert len(dark) == pytest.approx(len(bright), rel=0.06)
    assert dark.signal.median() == pytest.approx(bright.signal.median(), rel=0.4)
    assert dark.in_range.mean() > 0.9


@pytest.mark.slow
def test_noise_is_outside_the_training_range():
    rng = np.random.default_rng(2)
    image = rng.poisson(3.0, (12, 96, 96))
    table = atomseg.localize(image, refine="none", device="cpu", min_score=0.0)
    assert len(table) > 3
    assert table.attrs["training_range"].startswith("outside the training range")
    assert "fainter" in table.attrs["training_range"]


@pytest.mark.slow
def test_fringes_are_outside_the_training_range():
    along = np.arange(128) * (2.0 * np.pi / 7.4)
    wave = np.broadcast_to(0.5 + 0.5 * np.cos(along), (128, 128))
    image = np.random.default_rng(3).poisson(40.0 * wave)
    table = atomseg.localize(image, refine="none", device="cpu")
    assert len(table) < 5
    assert table.attrs["training_range"] != "inside the training range"
