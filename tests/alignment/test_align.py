"""Frames of one field laid on each other: shifts, lines, averages and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg import align, localize
from napari_atomseg.alignment import Alignment
from napari_atomseg.alignment.lines import divided, polynomial
from napari_atomseg.alignment.placing import Canvas, Motion, placed
from napari_atomseg.alignment.spectra import Grid, overlap, spectrum, window
from napari_atomseg.progress import Cancelled, CancelToken

Array = NDArray[np.float64]
SIDE, MARGIN, SPACING, SIGMA = 96, 32, 7.0, 1.5


class Scene:
    """Columns on a turned lattice, some of them brighter, in a field larger than a frame."""

    def __init__(self, features: float = 0.1, side: int = SIDE) -> None:
        rng = np.random.default_rng(7)
        size = side + 2 * MARGIN
        turn = np.array([[0.96, 0.28], [-0.28, 0.96]])
        cells = np.stack(np.meshgrid(*[np.arange(-60, 60)] * 2), axis=-1).reshape(-1, 2)
        places = SPACING * cells @ turn + size / 2 + 0.3
        places = places[((places > -8) & (places < size + 8)).all(axis=1)]
        height = np.where(rng.uniform(size=len(places)) < features, 1.8, 1.0)
        self.side, self.columns = side, places - MARGIN
        image = np.full((size, size), 0.2)
        for place, tall in zip(places, height, strict=True):
            near = [np.arange(max(0, int(p) - 8), min(size, int(p) + 9)) for p in place]
            light = [
                np.exp(-0.5 * ((n - p) / SIGMA) ** 2) for n, p in zip(near, place, strict=True)
            ]
            image[np.ix_(*near)] += tall * np.outer(*light)
        self._spline = ndimage.spline_filter(image, 5, mode="mirror")

    def __call__(self, shift: Any, lines: Any = 0.0, axis: int = 0) -> Array:
        y, x = np.mgrid[: self.side, : self.side].astype(float)
        moved = np.broadcast_to(lines, (self.side, 2))
        moved = np.expand_dims(moved, 1 - axis) + np.asarray(shift)
        places = [y - moved[..., 0] + MARGIN, x - moved[..., 1] + MARGIN]
        seen = ndimage.map_coordinates(self._spline, places, order=5, prefilter=False)
        return np.maximum(np.asarray(seen), 0.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def shifts(made: Alignment) -> Array:
    return made.shifts[["shift_y", "shift_x"]].to_numpy()


def counted(images: list[Array], dose: float, seed: int = 0) -> Array:
    return np.random.default_rng(seed).poisson(dose * np.stack(images)).astype(float)


TRUE = np.array([[0, 0], [1.3, -0.6], [2.2, 0.4], [1.1, 2.7], [-0.4, 3.3], [0.8, 4.9]])


def test_shifts_are_found_within_their_errors(scene: Scene) -> None:
    made = align(counted([scene(each) for each in TRUE], 20.0))
    wrong = shifts(made) - TRUE
    errors = made.shifts[["shift_y_err", "shift_x_err"]].to_numpy()
    assert np.abs(wrong).max() < 0.06
    assert (errors[0] == 0).all()
    assert 0.5 < np.sqrt(np.mean((wrong[1:] / errors[1:]) ** 2)) < 1.8
    assert made.kept.all()
    assert made.shifts["agreement"].between(0.9, 1.1).all()


def test_errors_allow_for_counts_that_have_their_noise_on_the_columns() -> None:
    rng = np.random.default_rng(4)
    # A few columns apart: the flanks, which show the shift, have more noise than the field has.
    y, x = np.mgrid[:96, :96].astype(float)
    scores = []
    for _ in range(6):
        true = np.vstack([[0.0, 0.0], rng.normal(0, 1.0, (5, 2))])
        places = rng.uniform(10, 86, (12, 2))
        stack = [
            sum(np.exp(-((y - v - dy) ** 2 + (x - u - dx) ** 2) / 6.5) for v, u in places) + 0.05
            for dy, dx in true
        ]
        made = align(rng.poisson(10.0 * np.stack(stack)).astype(float))
        errors = made.shifts[["shift_y_err", "shift_x_err"]].to_numpy()
        scores.append((shifts(made) - true)[1:] / errors[1:])
    assert 0.7 < np.sqrt(np.mean(np.square(scores))) < 1.35


@pytest.mark.parametrize(("step", "said"), [(0.0, False), (4.0, True)])
def test_frames_that_are_turned_against_each_other_are_named(step: float, said: bool) -> None:
    whole = Scene(side=160)((0.0, 0.0))
    turned = [
        ndimage.rotate(whole, step * number, reshape=False, mode="mirror")[32:128, 32:128]
        for number in range(6)
    ]
    notes = align(counted([np.maximum(each, 0.0) for each in turned], 20.0)).notes
    assert any("turned against each other" in note for note in notes) == said


def test_shifts_larger_than_half_a_lattice_vector_do_not_jump(scene: Scene) -> None:
    true = np.array([[0, 0], [5.0, -4.0], [1.0, 5.0], [-5.0, 2.0]])
    made = align(counted([scene(each) for each in true], 20.0))
    np.testing.assert_allclose(shifts(made), true, atol=0.1)


def test_a_perfect_lattice_is_said_to_be_ambiguous_and_small_drift_still_right() -> None:
    scene = Scene(features=0.0)
    true = 0.5 * TRUE
    made = align(counted([scene(each) for each in true], 5.0))
    np.testing.assert_allclose(shifts(made), true, atol=0.12)
    assert any("look alike at other shifts" in note for note in made.notes)


def test_a_blank_frame_is_left_out(scene: Scene) -> None:
    stack = counted([scene(each) for each in TRUE], 20.0)
    stack[2] = np.random.default_rng(1).poisson(5.0, stack[2].shape)
    made = align(stack)
    assert made.kept.tolist() == [True, True, False, True, True, True]
    assert made.shifts["weight"].iloc[2] == 0
    assert any("left out" in note and "frames 2" in note for note in made.notes)
    good = np.delete(np.arange(6), 2)
    np.testing.assert_allclose(shifts(made)[good], TRUE[good], atol=0.1)
    assert align(stack, keep_all=True).kept.all()


def test_the_standard_error_is_that_of_the_mean(scene: Scene) -> None:
    dose, true = 30.0, np.zeros((16, 2))
    made = align(counted([scene(each) for each in true], dose), field="common")
    mean = dose * scene(true[0])
    inner = np.s_[8:-8, 8:-8]
    y, x = made.origin
    height, width = made.average.shape
    mean = mean[y : y + height, x : x + width]
    z = ((made.average - mean) / made.standard_error)[inner]
    assert 0.9 < z.std() < 1.25
    # Frames of one dose count the same, and the variance of the mean is that of counts over 16.
    ratio = made.standard_error[inner] ** 2 / (mean[inner] / 16.0)
    assert 0.8 < ratio.mean() < 1.15
    np.testing.assert_allclose(made.frames, 16.0, rtol=1e-5)


def test_where_no_frame_saw_the_field_there_is_nan(scene: Scene) -> None:
    true = np.array([[0, 0], [0, 9.0], [6.0, 9.0]])
    stack = counted([scene(each) for each in true], 40.0)
    first, every, common = (
        align(stack, field=field)  # type: ignore[arg-type]
        for field in ("first", "all", "common")
    )
    assert first.average.shape == stack.shape[1:]
    assert np.isfinite(first.average).all()
    np.testing.assert_allclose(every.origin, (-6, -9), atol=1)
    assert np.isnan(every.average).any()
    assert (np.isnan(every.average) == (every.frames == 0)).all()
    assert np.isfinite(common.average).all()
    assert (common.frames > 2.9).all()
    assert np.isnan(first.standard_error[-1, -1])


def test_noise_is_shared_as_interpolation_shares_it() -> None:
    rng = np.random.default_rng(3)
    base = 4.0 * ndimage.gaussian_filter(rng.normal(size=(128, 128)), 2.0)
    halves = np.array([[0, 0.5 * (k % 2)] for k in range(6)])
    moved = np.array(
        [
            ndimage.shift(base, s, order=5, mode="mirror") + rng.normal(size=base.shape)
            for s in halves
        ]
    )
    found = align(moved, max_shift=4.0).noise
    # Half of the frames lie between pixels, where a cubic spline takes a part of the noise's
    # highest frequencies along x.
    assert found.beside[1] > 0.03
    assert abs(found.beside[0]) < 0.03


def test_weights_follow_the_noise(scene: Scene) -> None:
    doses = [40.0, 40.0, 10.0, 40.0]
    rng = np.random.default_rng(4)
    stack = np.array([rng.poisson(dose * scene((0, 0))) / dose for dose in doses])
    made = align(stack, weights="noise")
    weight = made.shifts["weight"].to_numpy()
    assert weight.sum() == pytest.approx(1.0)
    assert weight[2] / weight[[0, 1, 3]].mean() == pytest.approx(0.25, rel=0.25)
    assert made.frames.max() == pytest.approx(1.0 / (weight**2).sum(), rel=1e-3)


def test_lines_are_put_back(scene: Scene) -> None:
    rng = np.random.default_rng(5)
    at = np.linspace(-1, 1, SIDE)[:, None]
    own = [rng.normal(0, 0.3, (SIDE, 2)) + at * rng.normal(0, 0.6, 2) for _ in range(5)]
    stack = counted([scene(s, each) for s, each in zip(TRUE, own, strict=False)], 40.0)
    made = align(stack, "lines")
    assert made.lines is not None
    names = [["shift_y", "shift_x"], ["drift_y", "drift_x"]]
    found = sum(made.lines[name].to_numpy().reshape(5, SIDE, 2) for name in names)
    found = found + shifts(made)[:, None]
    true = np.array(own) + TRUE[:5, None]
    wrong, planted = ((each - each.mean(axis=0)) for each in (found - true, np.array(own)))
    assert np.sqrt((wrong**2).mean()) < 0.3 * np.sqrt((planted**2).mean())


@pytest.mark.slow
def test_orthogonal_scans_correct_each_other() -> None:
    scene, rng = Scene(side=128), np.random.default_rng(6)
    ramp = np.linspace(-0.5, 0.5, 128)[:, None] * np.array([3.0, -2.5])
    own = [ramp + rng.normal(0, 0.25, ramp.shape) for _ in range(2)]
    true = np.array([[0, 0], [1.5, -1.0]])
    pair = counted([scene(true[k], own[k], k) for k in (0, 1)], 80.0)
    made = align(pair, directions="orthogonal")
    assert made.lines is not None
    assert made.lines["direction"].tolist() == ["rows"] * 128 + ["columns"] * 128
    for k in (0, 1):
        part = made.lines[made.lines["frame"] == k]
        found = sum(part[[f"{n}_y", f"{n}_x"]].to_numpy() for n in ("shift", "drift"))
        wrong = found + shifts(made)[k] - own[k] - true[k]
        assert np.sqrt(((wrong - wrong.mean(axis=0)) ** 2).mean()) < 0.2
    # As a microscope records it, the second scan lies turned.
    turned = np.stack([pair[0], np.rot90(pair[1], -1)])
    again = align(turned, directions="orthogonal", turned=90)
    np.testing.assert_allclose(shifts(again), shifts(made), atol=1e-6)


def test_positions_on_the_average_lie_within_their_errors(scene: Scene) -> None:
    made = align(counted([scene(each) for each in TRUE], 25.0), field="common")
    table = localize(made.average, detector="peaks", sensitivity=0.0, edge="drop", noise=made.noise)
    places = table[["y", "x"]].to_numpy() + np.asarray(made.origin)
    off = places[:, None] - scene.columns[None]
    nearest = np.hypot(*np.moveaxis(off, -1, 0)).argmin(axis=1)
    wrong = off[np.arange(len(places)), nearest]
    z = (wrong - wrong.mean(axis=0)) / table[["y_err", "x_err"]].to_numpy()
    assert 0.75 < np.sqrt(np.nanmean(z**2)) < 1.35
    given = localize(
        made.average, detector="peaks", sensitivity=0.0, edge="drop",
        noise=made.record()["noise_correlation"],
    )  # fmt: skip
    np.testing.assert_allclose(given["y_err"], table["y_err"], rtol=1e-3)


def test_the_aligned_stack_shows_one_field(scene: Scene) -> None:
    made = align(counted([scene(each) for each in TRUE], 200.0), field="common")
    stack = made.stack()
    assert stack.shape == (6, *made.average.shape)
    assert np.corrcoef(stack[0].ravel(), stack[5].ravel())[0, 1] > 0.97


def test_sampling_gives_picometres(scene: Scene) -> None:
    made = align(counted([scene(each) for each in TRUE], 20.0), sampling=(0.2, 0.1))
    np.testing.assert_allclose(made.shifts["shift_y_pm"], 20.0 * made.shifts["shift_y"])
    np.testing.assert_allclose(made.shifts["shift_x_pm"], 10.0 * made.shifts["shift_x"])


@pytest.mark.parametrize(
    ("stack", "options", "message"),
    [
        (np.ones((32, 32)), {}, "frames, rows and columns"),
        (np.ones((1, 32, 32)), {}, "two or more"),
        ([np.ones((32, 32)), np.ones((32, 30))], {}, "different shapes"),
        (np.ones((2, 32, 30)), {"directions": "orthogonal", "turned": 90}, "square"),
        (
            np.ones((2, 32, 32)),
            {"directions": "orthogonal", "turned": 90, "sampling": (0.2, 0.1)},
            "not square",
        ),
        (np.ones((2, 32, 32)), {"motion": "leaps"}, "motion"),
        (np.ones((2, 32, 32)), {"max_shift": -1.0}, "max_shift"),
    ],
)
def test_wrong_arguments_are_named(stack: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(stack, **options)


def test_it_can_be_cancelled(scene: Scene) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        align(counted([scene(each) for each in TRUE[:2]], 20.0), cancel=token)


def test_a_frame_is_placed_where_its_motion_says(scene: Scene) -> None:
    shape = (SIDE, SIDE)
    drift = np.linspace(-1, 1, SIDE)[:, None] * np.array([1.5, -2.0])
    for axis in (0, 1):
        frame = scene((2.3, -1.2), drift, axis)
        still = Motion.still(np.array([2.3, -1.2]), shape, axis)
        motion = Motion(still.shift, drift, still.jitter, still.error, axis)
        plane, seen = placed(frame, np.zeros(shape, bool), motion, Canvas((0, 0), shape))
        inner = seen.copy()
        inner[:6], inner[-6:], inner[:, :6], inner[:, -6:] = (False,) * 4
        np.testing.assert_allclose(plane[inner], scene((0, 0))[inner], atol=0.03)


def test_a_ramp_moves_and_windows_overlap() -> None:
    grid = Grid.of((32, 48))
    image = np.random.default_rng(0).normal(size=(32, 48))
    moved = np.fft.irfft2(np.fft.rfft2(image) * grid.ramp(np.array([3.0, -5.0])), s=image.shape)
    np.testing.assert_allclose(moved, np.roll(image, (3, -5), axis=(0, 1)), atol=1e-9)
    weight = window((32, 48))
    part = overlap(weight)
    assert part[0, 0] == pytest.approx(1.0)
    assert part[3, 5] == pytest.approx(
        (weight[3:, 5:] * weight[:-3, :-5]).sum() / (weight**2).sum()
    )
    assert spectrum(image + 5.0, weight)[0, 0] == pytest.approx(0.0, abs=1e-8)


def test_displacements_are_divided_into_drift_and_jitter() -> None:
    rng = np.random.default_rng(2)
    drift = polynomial(200, 2) @ rng.normal(0, 5, (3, 2))
    jitter = rng.normal(0, 0.5, (200, 2))
    error = 0.2
    spread = np.tile(error**2 * np.eye(2), (200, 1, 1))
    values = drift + jitter + rng.normal(0, error, (200, 2))
    slow, quick, stated = divided(values, spread, np.full(2, 0.5), 2)
    assert np.sqrt(((slow - drift) ** 2).mean()) < 0.12
    # The posterior error of a normal prior: 1 / sqrt(1 / 0.5² + 1 / 0.2²).
    assert stated.mean() == pytest.approx(1 / np.hypot(1 / 0.5, 1 / error), rel=0.01)
    assert np.sqrt(((slow + quick - drift - jitter) ** 2).mean()) == pytest.approx(0.186, rel=0.2)
