"""The public simulator: reproducible, calibrated, kind to bad arguments."""

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.progress import Cancelled, CancelToken

SMALL = {"shape": (128, 160), "sampling": 0.12}


def test_the_same_call_gives_the_same_image():
    first = atomseg.simulate("Si", (1, 1, 0), seed=3, background=0.4, **SMALL)
    again = atomseg.simulate(**first.settings)
    other = atomseg.simulate(**{**first.settings, "seed": 4})
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_columns_stand_on_the_maxima_of_the_ideal_image():
    sim = atomseg.simulate("Pt", jitter=0.0, **SMALL)
    inner = sim.columns.query("4 < y < 123 and 4 < x < 155")
    for y, x in inner[["y", "x"]].to_numpy():
        row, col = round(y), round(x)
        patch = sim.ideal[row - 3 : row + 4, col - 3 : col + 4]
        assert patch.max() == sim.ideal[row - 1 : row + 2, col - 1 : col + 2].max()
    assert len(inner) > 20


def test_the_dose_sets_the_noise():
    clean = atomseg.simulate("SrTiO3", dose=np.inf, jitter=0.0, **SMALL)
    assert np.allclose(clean.image, clean.ideal, atol=1e-5)
    noise = {}
    for dose in (1e4, 4e4):
        sim = atomseg.simulate("SrTiO3", dose=dose, jitter=0.0, **SMALL)
        noise[dose] = np.mean((sim.image - sim.ideal) ** 2)
        counts = sim.settings["dose"] * 0.12**2 * 0.05
        assert noise[dose] == pytest.approx(sim.ideal.mean() / counts, rel=0.05)
    assert noise[1e4] / noise[4e4] == pytest.approx(4.0, rel=0.1)


def test_targets_agree_with_each_other():
    sim = atomseg.simulate("SrTiO3", background=0.5, background_kind="nonlinear", **SMALL)
    targets = sim.targets
    assert np.array_equal(targets["no_noise"], sim.ideal)
    background = targets["no_noise"] - targets["no_background_no_noise"]
    assert background.min() >= -1e-5
    assert background.max() > 0.1
    sharp = targets["no_noise_no_background_superresolution"]
    # The border cuts through columns, sharp and wide ones at different places.
    assert sharp.mean() == pytest.approx(targets["no_background_no_noise"].mean(), rel=0.1)
    inside = targets["circular_mask"] > 0
    assert targets["gaussian_mask"][inside].mean() > targets["gaussian_mask"][~inside].mean()
    assert len(targets["position"]) == len(sim.columns)


def test_there_is_nothing_in_the_vacuum():
    sim = atomseg.simulate("Au", shape_kind="edge", dose=np.inf, jitter=0.0, seed=5, **SMALL)
    assert 0.1 < (sim.ideal < 0.01).mean() < 0.9
    full = atomseg.simulate("Au", dose=np.inf, jitter=0.0, **SMALL)
    assert len(sim.columns) < 0.9 * len(full.columns)


def test_metres_and_pixels_agree():
    sim = atomseg.simulate("MoS2", **SMALL)
    assert np.allclose(sim.columns["y"] * sim.sampling, sim.columns["y_angstrom"])
    assert set(sim.columns["elements"]) == {"Mo", "S"}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("shape", (4, 4)),
        ("sampling", -0.1),
        ("sampling", float("nan")),
        ("dose", 0.0),
        ("crystal", "Pz"),
        ("zone_axis", (0, 0, 0)),
        ("shape_kind", "donut"),
        ("background_kind", "odd"),
        ("background", -1.0),
        ("jitter", -1.0),
        ("energy", -2.0),
        ("source_size", -0.5),
    ],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        atomseg.simulate(**{"shape": (64, 64), argument: value})


def test_cancelling_stops_the_simulation():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        atomseg.simulate(cancel=token, **SMALL)


def test_phase_contrast_and_dark_field_agree_where_the_columns_are():
    at = {"shape": (96, 96), "sampling": 0.15, "dose": np.inf, "jitter": 0.0}
    dark = atomseg.simulate("graphene", semiangle=30.0, source_size=0.3, **at)
    phase = atomseg.simulate("graphene", imaging="hrtem", defocus=-60.0, C3=-1e5, energy=80e3, **at)
    assert np.allclose(dark.columns[["y", "x"]], phase.columns[["y", "x"]], atol=1e-6)
    assert phase.columns["intensity"].max() == pytest.approx(1.0)
    assert phase.columns["snr"].isna().all()
    assert phase.ideal.mean() == pytest.approx(1.0, abs=0.05)
    assert phase.ideal.std() > 0.01


@pytest.mark.slow
def test_multislice_gives_the_same_truth_and_nearly_the_same_image():
    at = {"shape": (20, 20), "sampling": 0.25, "thickness": 3.9, "dose": np.inf, "jitter": 0.0}
    fast = atomseg.simulate("SrTiO3", **at)
    slow = atomseg.simulate("SrTiO3", imaging="multislice-adf", **at)
    assert slow.columns["intensity"].max() == pytest.approx(1.0)
    assert np.allclose(fast.columns[["y", "x", "atoms"]], slow.columns[["y", "x", "atoms"]])
    assert np.corrcoef(fast.ideal.ravel(), slow.ideal.ravel())[0, 1] > 0.95
