"""Images with hot pixels, burnt-in bars, offsets and mixed contrasts give the columns they show."""

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.inference import predict
from napari_atomseg.inference.scale import agreed_contrasts
from napari_atomseg.io import read_columns, write_columns
from napari_atomseg.localization import refine_columns
from napari_atomseg.trust import consistency

SIM = atomseg.simulate("GaAs", shape=(160, 160), sampling=0.15, dose=2e4, seed=5)
IMAGE = SIM.image.astype(np.float64)


@pytest.fixture(scope="module")
def table():
    return atomseg.localize(IMAGE, sampling=0.15, device="cpu")


def paired(table, other):
    """Distances of the columns of one table to those of another."""
    gap = np.hypot(*(table[[n]].to_numpy() - other[[n]].to_numpy().T for n in ("y", "x")))
    return gap.min(axis=1)


def said(table):
    """Notes but for two that hold of the plain image: columns at its border, displaced lines."""
    plain = ("cut by the border", "noise is shared", "part such light")
    return [n for n in table.attrs["notes"] if not any(words in n for words in plain)]


def test_nothing_is_noted_of_a_sound_image():
    """A perfect scan, of which electrons alone make the noise."""
    ideal = atomseg.simulate("Au", shape=(160, 160), sampling=0.15, seed=0).ideal
    image = np.random.default_rng(0).poisson(20.0 + 300.0 * ideal / ideal.max())
    assert atomseg.localize(image, sampling=0.15, edge="drop").attrs["notes"] == []


@pytest.mark.parametrize("detector", ["network", "peaks"])
def test_outliers_change_nothing_but_their_own_pixels(detector):
    usual = atomseg.localize(IMAGE, sampling=0.15, detector=detector)
    odd = IMAGE.copy()
    odd[[20, 81, 140], [33, 80, 12]] = -1e6
    odd[100, 50], odd[60:62, 60] = 100 * IMAGE.max(), np.inf
    found = atomseg.localize(odd, sampling=0.15, detector=detector)
    assert said(found) == ["4 hot or dead pixels were left out"]
    assert len(found) == pytest.approx(len(usual), abs=1)
    distances = paired(found, usual)
    assert np.median(distances) < 0.01
    assert distances.max() < 1.0


def test_a_bar_is_left_out(table):
    marked = np.rint(IMAGE / IMAGE.max() * 255)
    marked[130:] = 0
    marked[140:148, 20:90] = 255
    found = atomseg.localize(marked, sampling=0.15)
    assert said(found) == ["a burnt-in bar or text was left out (20 % of the image)"]
    assert (found.y < 129).all()
    above = table[table.y < 124]
    assert (paired(above, found) < 0.5).mean() > 0.97
    assert (atomseg.segment(marked, sampling=0.15)[130:] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("refine", ["gaussian", "joint"])
@pytest.mark.parametrize("detector", ["network", "peaks"])
def test_an_offset_of_any_size_changes_nothing(refine, detector):
    raw = IMAGE * 100
    usual, found = (
        atomseg.localize(each, sampling=0.15, refine=refine, detector=detector)
        for each in (raw, raw + 1e9)
    )
    assert len(found) == len(usual)
    for name in ("y", "x", "sigma", "y_err"):
        np.testing.assert_allclose(found[name], usual[name], atol=1e-3)
    np.testing.assert_allclose(found.background - 1e9, usual.background, rtol=0.02, atol=0.05)
    if detector == "network":
        np.testing.assert_allclose(found.signal, usual.signal, rtol=1e-2)


def test_restored_images_keep_the_contrast_on_an_offset():
    usual, offset = (atomseg.restore(each, sampling=0.15) for each in (IMAGE, IMAGE + 1e8))
    assert usual.dtype == np.float32
    assert offset.dtype == np.float64
    np.testing.assert_allclose(offset - 1e8, usual, atol=1e-3)
    z = [consistency(a, b).z for a, b in ((IMAGE, usual), (IMAGE + 1e8, offset))]
    np.testing.assert_allclose(z[1], z[0], atol=0.05)


@pytest.mark.slow
def test_channels_of_two_detectors_have_their_own_contrast(table):
    bright, dark = IMAGE, 2 * IMAGE.max() - IMAGE
    stack = np.stack([bright, dark, bright])
    found = atomseg.localize(stack, sampling=0.15)
    assert found.attrs["contrast"] == ["bright", "dark", "bright"]
    for number, frame in found.groupby("frame"):
        assert np.sign(frame.amplitude.median()) == (-1 if number == 1 else 1)
        assert (paired(table, frame) < 0.5).mean() > 0.97
    again = refine_columns(stack, found)
    # Detections that were dropped were neighbours in the first fits.
    np.testing.assert_allclose(again.y, found.y, atol=0.1)
    made = predict(stack, ("denoise",), sampling=0.15)
    assert made.contrast == "mixed"
    assert made.contrasts == ("bright", "dark", "bright")
    assert predict(stack[:1], ("denoise",), sampling=0.15).contrast == "bright"
    held = atomseg.localize(stack, sampling=0.15, contrast="bright", detector="peaks")
    assert held.attrs["contrast"] == "bright"


def test_a_list_of_contrasts_survives_files_and_is_checked(tmp_path):
    table = pd.DataFrame({"frame": [0, 1], "y": [20.0, 20.0], "x": [20.0, 20.0]})
    table.attrs = {"contrast": ["bright", "dark"], "notes": ["1 hot or dead pixel was left out"]}
    for name in ("columns.csv", "columns.json"):
        write_columns(tmp_path / name, table)
        read = read_columns(tmp_path / name)
        assert read.attrs["contrast"] == ["bright", "dark"]
        assert read.attrs["notes"] == table.attrs["notes"]
    with pytest.raises(ValueError, match="one a frame"):
        refine_columns(np.zeros((3, 40, 40)), table)


def test_frames_are_alike_unless_one_is_clear():
    assert agreed_contrasts([0.3, -0.1, 0.4]) == ("bright",) * 3
    assert agreed_contrasts([2.0, -2.0]) == ("bright", "dark")
    assert agreed_contrasts([-2.0, -2.0, 0.2]) == ("dark",) * 3


def test_frame_in_doubt_is_dark_where_a_clear_one_is_bright():
    """As the second of two detectors is; but not where columns only drifted onto gaps."""
    y, x = np.indices((96, 96))
    wave = np.cos(2 * np.pi * y / 12) + np.cos(2 * np.pi * x / 12)
    bright = np.exp(2.0 * (wave - 2.0))
    rng = np.random.default_rng(0)
    frames = [bright + rng.normal(0, 0.1, bright.shape), 3 - 0.3 * bright]
    frames[1] += rng.normal(0, 0.1, bright.shape)
    assert agreed_contrasts([2.0, -0.2], frames) == ("bright", "dark")
    assert agreed_contrasts([2.0, -0.2]) == ("bright", "bright")
    drifted = [frames[0], 0.3 * np.roll(bright, (6, 6), (0, 1)) + rng.normal(0, 0.1, bright.shape)]
    assert agreed_contrasts([2.0, -0.2], drifted) == ("bright", "bright")


def test_stripes_without_noise_are_no_border_and_no_columns():
    """Every line of them is constant."""
    stripes = np.tile(np.sin(np.arange(128) / 2.5), (128, 1)).T
    table = atomseg.localize(stripes, device="cpu")
    assert len(table) == 0
    assert not any("border" in note for note in table.attrs["notes"])
