"""Scan lines measured and put back, by a network that is told the truth."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_atomseg.inference.scan import api, measure
from napari_atomseg.inference.scan.api import corrected, frame_lines, line_table, scan_notes
from napari_atomseg.inference.scan.measure import LineMeter, LineShifts, fitted, slow_part


class Told(nn.Module):
    """States given displacements once, then none, with one error."""

    def __init__(self, shifts, error):
        super().__init__()
        self.answers = [shifts]
        self.error, self.images = error, []

    def forward(self, x):
        self.images.append(x)
        lines = x.shape[2]
        shifts = self.answers.pop(0) if self.answers else np.zeros((lines, 2))
        maps = torch.zeros(1, 4, *x.shape[2:])
        maps[:, :2] = torch.from_numpy(shifts.T.copy()).float()[None, :, :, None]
        maps[:, 2:] = float(np.log(self.error))
        return maps


def meter(shifts, error=0.1):
    made = LineMeter.__new__(LineMeter)
    made.device, made.network = torch.device("cpu"), Told(shifts, error)
    return made


def lattice(shifts, width=80):
    y, x = np.mgrid[: len(shifts), :width].astype(float)
    y, x = y - shifts[:, :1], x - shifts[:, 1:]
    return np.cos(0.8 * y) + np.cos(0.7 * x) + 3.0


def jitter(lines=256, rms=0.5, seed=0):
    return np.random.default_rng(seed).normal(0.0, rms, (lines, 2))


def test_jitter_is_put_back_and_drift_left() -> None:
    shifts = jitter()
    line = np.arange(256)[:, None] / 255
    slow = 3.0 * line * np.array([1.0, -2.0]) + 4.0 + np.sin(np.pi * line)
    found = meter(shifts + slow)(lattice(shifts + slow))
    # The slow part of white jitter goes, too: few of its degrees of freedom.
    assert (found.jitter - shifts).std() < 0.15
    assert np.abs(found.drift[:, 0] - found.drift[:, 0].mean()).max() > 0.1
    left = fitted(np.sin(np.pi * line) * np.ones((1, 2)), np.ones((256, 2)), 0)
    expected = np.sin(np.pi * line) - left
    assert np.corrcoef(found.drift[:, 0], expected[:, 0])[0, 1] > 0.7


def test_the_second_look_is_at_the_image_put_back() -> None:
    shifts = jitter()
    shifts -= fitted(shifts, np.ones_like(shifts), 0)
    made = meter(shifts, 0.01)
    made(lattice(shifts))
    first, second = (image[0, 0].numpy()[10:-10, 10:-10] for image in made.network.images)
    still = lattice(0 * shifts)[10:-10, 10:-10]
    still = (still - still.mean()) / still.std()
    assert (second - still).std() < 0.15 * (first - still).std()


def test_long_lines_are_measured_in_pieces_that_add_up(monkeypatch) -> None:
    monkeypatch.setattr(measure, "WIDEST", 32)
    made = meter(jitter(64, 0.0), 0.2)
    found = made(np.random.default_rng(0).normal(size=(64, 128)))
    assert {image.shape[3] for image in made.network.images} == {32}
    np.testing.assert_allclose(found.errors, 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("rms", "error", "moved"), [((0.5, 0.5), 0.1, True), ((0.05, 0.05), 0.1, False)]
)
def test_auto_undoes_what_is_clear(rms, error, moved) -> None:
    shifts = jitter(128, 1.0) * np.array(rms)
    frame = lattice(shifts)
    lines = frame_lines(frame, "auto", Answering({128: shifts, 80: jitter(80, 0.0)}, error))
    assert (lines.direction == "rows") is moved
    assert lines.shifts.jitter.any() == moved
    # What was measured is kept, whether undone or not.
    assert lines.measured.jitter.any()
    if not moved:
        assert corrected(frame, lines) is frame


def test_auto_undoes_one_axis_where_only_that_is_clear() -> None:
    shifts = jitter(128, 1.0) * np.array([0.02, 0.5])
    lines = frame_lines(lattice(shifts), "auto", Answering({128: shifts, 80: jitter(80, 0.0)}, 0.1))
    assert not lines.shifts.jitter[:, 0].any()
    assert lines.shifts.jitter[:, 1].any()
    assert not lines.shifts.errors[:, 0].any()


def test_what_is_found_in_both_directions_alike_is_not_jitter() -> None:
    """An image has lines one way: what is found the other way is an error, whatever is stated."""
    shifts = jitter(128)
    both = Answering({128: shifts, 80: jitter(80, 0.4)}, 0.1)
    assert frame_lines(lattice(shifts), "auto", both).direction == "none"
    assert frame_lines(lattice(shifts), "rows", both).direction == "rows"


def test_lines_that_were_not_displaced_are_not_moved_whatever_is_stated() -> None:
    """A lattice that moving its lines blurs was sharp: it is left, bit for bit."""
    still, wrong = lattice(jitter(128, 0.0)), jitter(128, 0.3)
    sure = Answering({128: wrong, 80: jitter(80, 0.0)}, 0.02)
    lines = frame_lines(still, "auto", sure)
    assert lines.direction == "none"
    assert corrected(still, lines) is still
    assert measure.sharpening(still, sure(still)) < 1.0
    moved = lattice(wrong)
    assert measure.sharpening(moved, sure(moved)) > 1.05


class Answering:
    """A meter that knows frames by their number of lines."""

    def __init__(self, answers, error):
        self.answers, self.error = answers, error

    def __call__(self, frame):
        shifts = self.answers[len(frame)]
        drift = slow_part(shifts, np.ones_like(shifts))
        return LineShifts(shifts - drift, np.full_like(shifts, self.error), drift)


def test_lines_that_run_down_the_image_are_those_of_its_transpose() -> None:
    shifts = jitter(128)
    frame = lattice(shifts)
    still = Answering({128: shifts, 80: jitter(80, 0.0)}, 0.05)
    across, down = frame_lines(frame, "auto", still), frame_lines(frame.T, "auto", still)
    assert (across.direction, down.direction) == ("rows", "columns")
    np.testing.assert_array_equal(corrected(frame, across).T, corrected(frame.T, down))
    tables = [line_table([lines], None, stacked=False) for lines in (across, down)]
    np.testing.assert_array_equal(tables[0]["shift_y"], tables[1]["shift_x"])
    np.testing.assert_array_equal(tables[0]["shift_x_err"], tables[1]["shift_y_err"])


def test_table_and_notes_have_units() -> None:
    shifts = jitter(128)
    lines = frame_lines(lattice(shifts), "rows", Answering({128: shifts}, 0.05))
    table = line_table([lines, lines], (0.1, 0.2), stacked=True)
    assert list(table["frame"].unique()) == [0, 1]
    np.testing.assert_allclose(table["shift_y_pm"], 10.0 * table["shift_y"])
    np.testing.assert_allclose(table["shift_x_err_pm"], 20.0 * table["shift_x_err"])
    (note,) = scan_notes([lines, lines], (0.1, 0.2))
    assert "2 of 2 frames" in note
    assert "pm" in note


@pytest.mark.parametrize("frame", [np.zeros((40, 40)), np.ones((4, 200)), np.eye(15)])
def test_frames_that_show_nothing_move_nothing(frame) -> None:
    found = meter(np.zeros((len(frame), 2)))(frame)
    assert not found.jitter.any()
    assert not any(found.clear(found))


def test_scan_none_and_bad_arguments() -> None:
    frame = lattice(jitter(64))
    assert frame_lines(frame, "none", Answering({}, 0.1)).direction == "none"
    with pytest.raises(ValueError, match="scan"):
        api.correct_scan(frame, "diagonal")


@pytest.mark.parametrize(
    ("size", "spacing", "holds"),
    [(0.5, 10.0, True), (0.5, 30.0, True), (1.5, 30.0, False), (1.2, 5.0, False)],
)
def test_jitter_that_is_large_beside_the_spacing_is_noted(size, spacing, holds):
    jitter = size * np.random.default_rng(0).standard_normal((200, 2))
    lines = LineShifts(jitter, np.full((200, 2), 0.1), np.zeros((200, 2)))
    y, x = np.mgrid[:200, :200] * (2 * np.pi / spacing)
    frame = np.exp(np.cos(y) + np.cos(x))
    assert api.reliable(frame, lines) == holds
    notes = scan_notes([api.ScanFrame("rows", lines, lines, holds)], None)
    assert len(notes) == 2 - holds
    assert holds or "larger than stated" in notes[-1]
