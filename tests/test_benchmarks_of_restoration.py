"""The benchmarks of restoration: peers are compared fairly, and spreads are those planted."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).parents[1]


@pytest.fixture
def restoration(monkeypatch: pytest.MonkeyPatch) -> object:
    """Import a module of the benchmarks of restoration by its name."""
    monkeypatch.syspath_prepend(ROOT)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.restoration.{name}")

    return load


def crystal(side: int = 96) -> np.ndarray:
    """Columns on a lattice, no two alike."""
    y, x = np.mgrid[:side, :side].astype(float)
    waves = np.cos(2 * np.pi * (0.09 * y + 0.03 * x)) + np.cos(2 * np.pi * (0.1 * x - 0.02 * y))
    return waves + 0.02 * x + 0.01 * y


def test_a_merged_image_is_laid_over_the_truth_wherever_it_lies(restoration) -> None:
    lines = restoration("lines")
    truth = crystal(64)
    matrix = np.array([[1.01, 0.004], [-0.006, 0.995]])
    centre = np.full(2, 31.5)
    offset = centre - matrix @ centre + np.array([2.3, -1.4])
    moved = 3.0 * ndimage.affine_transform(truth, matrix, offset, order=5, mode="mirror") + 7.0
    inner = slice(lines.PEER_BORDER, -lines.PEER_BORDER)
    error = lines.laid_over(moved, truth) - truth[inner, inner]
    assert np.abs(error[4:-4, 4:-4]).max() < 0.02 * np.ptp(truth)


def test_blur_alone_is_no_error_where_it_is_left_out(restoration) -> None:
    lines = restoration("lines")
    truth = crystal()
    inner = slice(lines.PEER_BORDER, -lines.PEER_BORDER)
    blurred = ndimage.gaussian_filter(truth, 1.3)[inner, inner]
    assert lines.with_blur(blurred, truth) > 60.0
    sharp = truth[inner, inner] + np.random.default_rng(0).normal(0.0, 0.1, (80, 80))
    plain = 20 * np.log10(np.ptp(truth[inner, inner]) / 0.1)
    assert lines.with_blur(sharp, truth) == pytest.approx(plain, abs=0.3)


def test_two_scans_share_the_electrons_and_have_lines_of_their_own(restoration) -> None:
    lines, images = restoration("lines"), restoration("images")
    cell = 1.2 + np.outer(*[np.cos(2 * np.pi * np.arange(80) / 80)] * 2)
    seen = lines.Specimen(images.WHOLE[0], cell.astype(np.float32), 10.0)
    scan = lines.Scan(seen, 10.0, 0.5, 400.0)
    pair = scan.pair()
    np.testing.assert_array_equal(pair, scan.pair())
    _, still, _ = scan.recorded
    assert pair.sum(axis=0).mean() == pytest.approx(still.mean(), rel=0.01)
    shifts = np.zeros((images.SIDE, 2))
    shifts[50] = 0.0, 3.0
    rows, columns = (np.abs(seen(shifts, axis) - scan.truth) > 1e-9 for axis in range(2))
    assert np.flatnonzero(rows.any(axis=1)).tolist() == [50]
    assert np.flatnonzero(columns.any(axis=0)).tolist() == [50]


def test_pairs_of_scans_that_changed_are_merged_anew(restoration, monkeypatch, tmp_path) -> None:
    lines, peer = restoration("lines"), restoration("orthogonal")
    called: list[tuple[object, ...]] = []
    monkeypatch.setattr(lines, "elsewhere", lambda *words: called.append(words))

    class Made:
        name = "one"
        value = 1.0

        def pair(self) -> np.ndarray:
            return np.full((2, 4, 4), self.value, np.float32)

    scan, result = Made(), tmp_path / peer.RESULTS / "one.npy"
    result.parent.mkdir()
    lines.merge(tmp_path, iter([scan]), Path("python"))
    result.touch()
    lines.merge(tmp_path, iter([scan]), Path("python"))
    assert result.exists()
    scan.value = 2.0
    lines.merge(tmp_path, iter([scan]), Path("python"))
    assert not result.exists()
    assert len(called) == 3


def test_scatter_is_what_was_planted_and_slow_bends_are_left_out(restoration) -> None:
    silicon = restoration("silicon")
    cell = np.array([[20.0, 3.0], [-4.0, 18.0]])
    number = np.mgrid[:20, :20].reshape(2, -1).T
    random = np.random.default_rng(1)
    places = number @ cell + random.normal(0.0, (0.2, 0.5), (400, 2))
    np.testing.assert_allclose(silicon.scatter(places, cell, 1), (0.2, 0.5), rtol=0.1)
    bend = 4.0 * (number[:, 0] / 10 - 1.0) ** 3
    bent = places + np.stack([np.zeros(400), bend], axis=1)
    assert silicon.scatter(bent, cell, 1)[1] > 0.7
    np.testing.assert_allclose(silicon.scatter(bent, cell, 3), (0.2, 0.5), rtol=0.1)


def test_the_halves_of_dumbbells_are_told_apart(restoration) -> None:
    silicon = restoration("silicon")
    pixel, b = 9.0, np.array([10.0, 59.0])
    first = np.mgrid[30:400:45, 30:400:70].reshape(2, -1).T.astype(float)
    step = silicon.DUMBBELL / pixel * b / np.hypot(*b)
    mixed = np.random.default_rng(2).permutation(np.concatenate([first, first + step]))
    one, two, distances = silicon.halves(mixed, b, pixel)
    assert {tuple(place) for place in one} == {tuple(place) for place in first}
    np.testing.assert_allclose(two - one, np.broadcast_to(step, one.shape))
    np.testing.assert_allclose(distances, silicon.DUMBBELL)


def test_a_sheet_has_a_row_an_image_and_a_pixel_a_pixel(restoration, tmp_path) -> None:
    pictures = restoration("pictures")
    truth = crystal(64).astype(np.float32)
    rows = [pictures.Row("a", {"raw": 2 * truth + 5, "best": truth}, truth)] * 3
    pictures.sheet(tmp_path / "sheet.png", rows, 64)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 66, 3 * (64 + pictures.TITLE))
        assert sheet.mode == "L"
        grey = np.asarray(sheet).astype(float)
    first, last = (grey[-64:, left : left + 64] for left in (0, 132))
    np.testing.assert_allclose(first, last, atol=256 / pictures.SHADES)
    assert np.corrcoef(first.ravel(), truth.ravel())[0, 1] > 0.999


def test_frames_off_by_a_lattice_vector_are_counted(restoration) -> None:
    planted = restoration("align")
    true = np.arange(12.0).reshape(6, 2)
    found = true + 3.0 + 0.01 * np.cos(true)
    found[4] += (0.0, 5.0)
    jumped, left = planted.off_lattice(found, true, 5.0)
    assert jumped.tolist() == [False, False, False, False, True, False]
    assert np.abs(left).max() < 0.03
    assert planted.off_lattice(true, true, 5.0)[0].sum() == 0


def test_planted_columns_are_where_the_scene_shows_them(restoration) -> None:
    planted = restoration("align")
    scene = planted.Scene(64, 10.0, 0.0, np.random.default_rng(0))
    shift = np.array([2.0, -3.0])
    image = scene(shift)
    inside = scene.columns[((scene.columns > 12) & (scene.columns < 52)).all(axis=1)]
    rows, cols = np.round(inside + shift).astype(int).T
    assert image[rows, cols].min() > 0.9 * image.max()
    # Rows of the image are columns of the other scan.
    lines = np.zeros((64, 2))
    lines[:, 0] = 1.5
    np.testing.assert_allclose(scene(shift, lines, 0), scene(shift, lines, 1), atol=1e-9)
