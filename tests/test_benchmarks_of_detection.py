"""The benchmarks of detection: their images and counts are right, and each runs."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from napari_atomseg.trust.judge import INSIDE, OUTSIDE

ROOT = Path(__file__).parents[1]


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> object:
    """Import a module of the benchmarks by its name."""
    monkeypatch.syspath_prepend(ROOT)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.{name}")

    return load


def test_counts_leave_out_the_border_and_add_up(detection) -> None:
    common = detection("detection.common")
    axis = np.arange(10.0, 100.0, 20.0)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    kind = np.arange(len(points)) % 2
    truth = common.Truth.of(points, (100, 100), kind)
    assert truth.radius == pytest.approx(4.0)
    perfect = truth.counts(points + 1.0)
    assert (perfect.recall, perfect.precision, perfect.f1) == (1.0, 1.0, 1.0)
    both = truth.counts(points, 0) + truth.counts(points, 1)
    assert both.right == perfect.right
    # One at the border is neither right nor wrong, one between columns is false.
    more = truth.counts(np.concatenate([points, [[2.0, 50.0], [40.0, 40.0]]]))
    assert more == replace(perfect, false=1)
    nothing = truth.counts(common.NOTHING)
    assert nothing.recall == 0.0
    assert np.isnan(nothing.precision)


def test_nothing_found_and_images_outside_are_flagged(detection) -> None:
    common = detection("detection.common")
    table = pd.DataFrame({"y": [1.0], "x": [2.0], "frame": [1]})
    table.attrs["frames"] = 2
    first, second = common.Found(table, INSIDE).frames()
    assert first.flagged
    assert not second.flagged
    assert common.Found(table, OUTSIDE + "of noise").flagged


@pytest.mark.parametrize("length", [0.0, 0.7, 2.0])
def test_correlated_noise_has_deviation_one_and_its_correlation(detection, length: float) -> None:
    noise = detection("detection.empty").correlated(np.random.default_rng(3), (512, 512), length)
    assert noise.std() == pytest.approx(1.0, rel=0.02)
    beside = float(np.mean(noise * np.roll(noise, 2, axis=0)))
    # The kernel's correlation with itself is a Gaussian √2 times as wide.
    expected = np.exp(-1.0 / length**2) if length else 0.0
    assert beside == pytest.approx(expected, abs=0.03)


def test_images_without_columns_are_made_again_and_finite(detection) -> None:
    empty = detection("detection.empty")
    seeds = detection("seeds")
    for number, (name, make) in enumerate(empty.KINDS.items()):
        if name.startswith(("carbon", "vacuum")):
            continue
        first, again = (make(seeds.generator(1, number), 4) for _ in range(2))
        assert first.shape == empty.SHAPE, name
        assert np.isfinite(first).all(), name
        assert np.ptp(first) > 0, name
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", ["bar and text", "lost lines", "hot pixels"])
def test_hidden_columns_do_not_count(detection, name: str) -> None:
    disturbed = detection("detection.disturbed").disturbed
    clean, spoiled = disturbed(name, 2)
    assert len(clean.truth.points) == len(spoiled.truth.points) > 20
    rows, cols = np.rint(spoiled.truth.points).astype(int).clip(0, 255).T
    changed = clean.image != spoiled.image
    assert changed.any()
    if name != "hot pixels":
        assert not changed[rows, cols].any()


def test_a_series_has_the_ratio_the_places_and_the_electrons(detection, tmp_path: Path) -> None:
    perovskites = detection("detection.perovskites")
    made = list(perovskites.scenes(tmp_path, ["ours"], [4], [12.0], [400.0, 60.0], 1))
    assert [scene.electrons for scene in made] == [400.0, 60.0]
    scene = made[0]
    assert scene.faint == pytest.approx(0.25, abs=0.02)
    assert scene.image.max() == pytest.approx(400.0, rel=0.25)
    at = [
        np.median(ndimage.map_coordinates(scene.image, scene.truth.points[scene.truth.kind == k].T))
        for k in (0, 1)
    ]
    assert at[0] == pytest.approx(400.0, rel=0.05)
    ground = 400.0 * perovskites.BACKGROUND / (1.0 + perovskites.BACKGROUND)
    assert at[1] - ground == pytest.approx(0.25 * (at[0] - ground), rel=0.1)
    counts = [np.sum(scene.truth.kind == k) for k in (0, 1)]
    assert counts[0] == pytest.approx(counts[1], rel=0.1)


def test_a_cell_is_spread_out_with_its_columns(detection) -> None:
    perovskites = detection("detection.perovskites")
    pixels = perovskites.CELL_PIXELS
    y, x = np.mgrid[:pixels, :pixels]
    places = np.array([[20.3, 10.6], [60.3, 50.6]])
    cell = np.zeros((pixels, pixels), np.float32)
    for height, (row, col) in zip((1.0, 0.3), places, strict=True):
        away = [(a - b + pixels / 2) % pixels - pixels / 2 for a, b in ((y, row), (x, col))]
        cell += height * np.exp(-0.5 * (away[0] ** 2 + away[1] ** 2) / 8.0**2)
    canvas, points, kind = perovskites._spread_out(
        cell, places, 0.17, 100, np.random.default_rng(5)
    )
    at = ndimage.map_coordinates(canvas, (points + perovskites.MARGIN).T, order=3)
    np.testing.assert_allclose(at[kind == 0], 1.0, atol=0.02)
    np.testing.assert_allclose(at[kind == 1], 0.3, atol=0.02)
    area = (100 * 0.17 / perovskites.CELL) ** 2
    assert len(points) == pytest.approx(2 * area, rel=0.2)


def test_places_beneath_paint_and_drifting_frames(detection, tmp_path: Path) -> None:
    cases = detection("detection.cases")
    rng = np.random.default_rng(1)
    plane = rng.poisson(5.0, (40, 40)).astype(float)
    plane[:, :12] = 0.0
    hidden = cases.painted_over(plane, np.array([[20.0, 5.0], [20.0, 30.0]]))
    assert hidden.tolist() == [True, False]
    np.savetxt(tmp_path / "hum.csv", [[1.0, 2.0], [3.0, 4.0]], delimiter=",")
    known = cases.known_of(tmp_path / "hum.npy")
    assert known.aim == "none, or flagged"
    np.testing.assert_array_equal(
        cases.truth_of(tmp_path / "hum.npy", known, None), [[1.0, 2.0], [3.0, 4.0]]
    )


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("cases {folder}", "| lattice | 36 | 36 | 0 | 1.000 |"),
        ("series {folder} --sources ours --ratios 2 --electrons 400 --spacings 16", "| 1:2 |"),
        ("negatives --images 1 --only normal dead", "| normal noise | 1 |"),
        ("bars --images 1 --side 96 --noise white --refine gaussian", "| white | gaussian |"),
        ("times --sizes 64 --repeats 1 --beside {root}", "| 64² |"),
    ],
)
@pytest.mark.slow
def test_each_runs_from_its_command_line(
    detection, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: str, printed: str
) -> None:
    axis = np.arange(8.0, 96.0, 16.0)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    y, x = np.mgrid[:96, :96]
    away = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    expected = 5.0 + 100.0 * np.exp(-0.5 * away / 2.5**2).sum(axis=-1)
    np.save(tmp_path / "lattice.npy", np.random.default_rng(0).poisson(expected))
    pd.DataFrame(points, columns=["y", "x"]).to_csv(tmp_path / "truth.csv", index=False)
    command = words.format(folder=tmp_path, root=ROOT)
    detection("runner").main(["detection", *command.split()])
    assert printed in capsys.readouterr().out


def test_conditions_have_their_columns_and_words(detection) -> None:
    conditions = detection("detection.conditions")
    scene = replace(conditions.CONDITIONS["vacancies"], side=96, vacancies=2)
    rng = np.random.default_rng(0)
    places, heights, vacant = conditions.columns_of(scene, rng)
    assert len(vacant) == 2
    assert len(places) == len(heights)
    image = conditions.counted(scene, places, heights, rng)
    at = np.rint(places[((places > 5) & (places < 90)).all(axis=1)]).astype(int)
    assert image[tuple(at.T)].mean() > 3 * image[tuple(np.rint(vacant).astype(int).T)].mean()
    assert conditions.summarized("1,024 of 2 columns have 3.5 % too much") == "n of n columns have"


@pytest.mark.slow
def test_conditions_count_what_is_missed_and_invented(detection) -> None:
    conditions = detection("detection.conditions")
    scene = replace(conditions.CONDITIONS["between the pixels"], side=96)
    counts, z, _ = conditions.tried(scene, np.random.default_rng(0))
    assert counts[0] > 20
    assert counts[1:].tolist() == [0, 0, 0]
    assert np.sqrt(np.mean(z**2)) < 1.3
