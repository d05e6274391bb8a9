from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.evaluation import Case, Outcome, evaluate
from napari_atomseg.evaluation.datasets import open_datasets
from napari_atomseg.evaluation.report import KEYS, summarize_tasks
from napari_atomseg.evaluation.tasks import (
    SCORED,
    TRUTH,
    dice,
    known_targets,
    species_counts,
    task_scores,
)
from napari_atomseg.simulation import sample

SHAPE = (40, 40)


def picture(seed=0):
    return np.random.default_rng(seed).random(SHAPE).astype(np.float32)


def case(**known):
    return Case("made-0000", picture(), **known)


@dataclass(frozen=True)
class Knowing:
    """Knows the truth of every task."""

    name: str = "knowing"

    def __call__(self, case):
        return Outcome(case.truth, case.columns.assign(species=case.columns["elements"]))

    def maps(self, case):
        return {task: case.targets[TRUTH[task]] for task in SCORED}


def test_the_dice_score_is_the_overlap_of_two_discs():
    row, col = np.mgrid[:50, :50]
    other = (abs(row - 20) < 5) & (abs(col - 20) < 5)
    for c, expected in ((20, 1.0), (23, 2 * 6 * 9 / (2 * 81)), (40, 0.0)):
        one = (abs(row - 20) < 5) & (abs(col - c) < 5)
        assert dice(one, other) == pytest.approx(expected)
    assert np.isnan(dice(np.zeros(SHAPE), np.zeros(SHAPE)))


def test_every_task_is_scored_by_its_own_truth():
    truth = {TRUTH[task]: picture(seed) for seed, task in enumerate(SCORED)}
    wrong = {task: truth[TRUTH[task]] + np.float32(0.1) for task in SCORED}
    rows = pd.DataFrame(task_scores(case(targets=truth), wrong)).set_index("task")
    assert list(rows.index) == list(SCORED)
    intensities = rows.drop(index="column_mask")
    for task, row in intensities.iterrows():
        expected = 20 * np.log10(np.ptp(truth[TRUTH[task]]) / 0.1)
        assert row["psnr"] == pytest.approx(expected, abs=1e-3)
    assert (intensities["psnr_affine"] > 90).all()
    assert 0.85 < rows.loc["column_mask", "dice"] < 1.0


def test_what_a_case_or_a_model_does_not_have_is_not_scored():
    one = case(targets={TRUTH["column_mask"]: np.ones(SHAPE, np.float32)})
    made = {"denoise_background": picture(), "column_mask": np.ones(SHAPE, np.float32)}
    assert task_scores(one, made) == [{"task": "column_mask", "dice": 1.0}]
    flat = case(targets={TRUTH["superresolution"]: np.zeros(SHAPE, np.float32)})
    assert task_scores(flat, {"superresolution": picture()}) == []


def test_simulations_know_the_truth_of_every_task():
    made = sample("columns", 0, 1, (32, 32))
    known = known_targets(made.targets)
    assert set(known) == {TRUTH[task] for task in SCORED}
    finer = known[TRUTH["upinterpolation"]]
    assert finer.shape == (64, 64)
    np.testing.assert_allclose(finer.mean(), made.ideal.mean(), rtol=0.05)
    dataset = open_datasets(["crystals"], doses=[1e4], images=1, shape=(32, 32))[0]
    assert set(dataset.case(0).targets) == set(known)


def test_species_are_counted_right_wrong_missed_and_invented():
    known = pd.DataFrame({"y": [10.0, 10, 30, 30], "x": [10.0, 30, 10, 30]})
    known["elements"] = ["Sr", "Sr", "Ti", "Ti"]
    known["snr"] = [50.0, 50, 50, 1]
    found = pd.DataFrame({"y": [10.0, 30, 30, 20], "x": [10.0, 10, 30, 20]})
    found["species"] = ["Sr", "Sr", "Sr", "Ti"]  # right, wrong, too faint to count, invented
    rows = species_counts(case(columns=known), Outcome(columns=found))
    assert rows == [
        {"task": "elements", "paired": 2, "right": 1},
        {"task": "elements: Sr", "true": 2, "named": 2, "right": 1},
        {"task": "elements: Ti", "true": 1, "named": 1, "right": 0},
    ]
    about = dict(zip(KEYS, ("made", np.nan, "m"), strict=True))
    table = summarize_tasks(pd.DataFrame([{**about, **row} for row in rows])).set_index("task")
    assert table.loc["elements", "right"] == 0.5
    assert np.isnan(table.loc["elements", "recall"])
    assert table.loc["elements: Sr", ["precision", "recall", "f1"]].tolist() == [0.5, 0.5, 0.5]
    assert table.loc["elements: Ti", ["precision", "recall"]].tolist() == [0.0, 0.0]


def test_species_need_both_sides_to_tell_them():
    known = pd.DataFrame({"y": [10.0], "x": [10.0]})
    told = known.assign(elements="Si")
    assert species_counts(case(columns=told), Outcome(columns=known)) == []
    assert species_counts(case(columns=known), Outcome(columns=known.assign(species="Si"))) == []
    assert species_counts(case(), Outcome(columns=known)) == []


@pytest.mark.slow
def test_tasks_come_with_the_table_and_are_written(tmp_path):
    table = evaluate(
        [Knowing()], ["crystals"], [], images=2, doses=[1e5], shape=SHAPE, out=tmp_path
    )
    tasks = pd.DataFrame(table.attrs["tasks"]).set_index("task")
    intensities = [task for task in SCORED if task != "column_mask"]
    assert (tasks.loc[intensities, "psnr"] == np.inf).all()
    assert tasks.loc["column_mask", "dice"] == 1.0
    assert tasks.loc["elements", "right"] == 1.0
    assert tasks.loc["elements: Pt", "precision"] == 1.0
    back = pd.read_csv(tmp_path / "tasks.csv")
    pd.testing.assert_frame_equal(back, tasks.reset_index()[list(back)], check_dtype=False)
    assert "| crystals | 100000 | knowing | elements: Pt |" in (tmp_path / "table.md").read_text()
