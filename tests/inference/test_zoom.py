"""When an image is resampled for the network, and which way its atoms are taken to stand out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import napari_atomseg as atomseg
from napari_atomseg import weights
from napari_atomseg.inference import Predictor, estimate_spacing, predict, predictor
from napari_atomseg.inference.magnification import (
    Magnifications,
    choose_magnifications,
    nearest_magnification,
)
from napari_atomseg.inference.scale import DARK, DOUBTFUL, guess_contrast

IMAGE = atomseg.simulate("SrTiO3", shape=(128, 128), sampling=0.12, dose=1e4, seed=3).image


class Network:
    """Sees square lattices in images of 128 pixels, so far apart and so sure at each magnification.

    `lattices` holds spacing (px after magnification) and probability by magnification.
    """

    def __init__(self, **lattices: tuple[float, float]) -> None:
        self.lattices, self.seen = lattices, []

    def __call__(self, image):
        factor = image.shape[-1] / 128
        self.seen.append(factor)
        probability = torch.zeros(image.shape[-2:])
        spacing, sureness = self.lattices.get(f"x{factor:g}", (12, 0.0))
        half = int(spacing) // 2
        probability[half :: int(spacing), half :: int(spacing)] = sureness
        return probability


SURE, HALF, QUARTER = (12, 0.95), (8, 0.9), (8, 0.8)


def test_columns_are_looked_for_wherever_the_image_shows_some():
    network = Network(**{"x1": SURE, "x0.5": HALF})
    assert choose_magnifications(network, IMAGE) == Magnifications(1.0, (1.0, 0.5), 12.0)
    assert network.seen == [1.0, 0.5, 0.25]


def test_the_surest_magnification_does_not_hide_what_another_shows():
    """The fault that lost half of a perovskite: bright columns are surest in a small image."""
    network = Network(**{"x1": (12, 0.6), "x0.5": (9, 0.97)})
    chosen = choose_magnifications(network, IMAGE, trained=(5.0, 34.0))
    assert set(chosen.detecting) == {1.0, 0.5}


def test_noise_looks_the_same_at_every_magnification():
    """Networks see a lattice of five pixels in noise, and are not sure of it."""
    noise = (5, 0.62)
    network = Network(**{"x1": (3, 0.55), "x0.5": noise, "x0.25": noise, "x2": noise})
    assert choose_magnifications(network, IMAGE).detecting == (1.0,)
    sure = Network(**{"x1": SURE, "x0.5": (5, 0.8), "x0.25": noise})
    assert choose_magnifications(sure, IMAGE).detecting == (1.0, 0.5)


def test_columns_far_apart_are_not_looked_for_in_the_whole_image():
    """It takes four times as long as the half one, and shows no others."""
    even = Network(**{"x1": (40, 0.8), "x0.5": (20, 0.9)})
    chosen = choose_magnifications(even, IMAGE, trained=(5.0, 34.0))
    assert (chosen.restoring, chosen.detecting) == (0.5, (0.5,))
    more = Network(**{"x1": (20, 0.8), "x0.5": (20, 0.9)})
    assert 1.0 in choose_magnifications(more, IMAGE).detecting


def test_the_enlarged_image_is_looked_at_where_columns_are_close_and_it_shows_more():
    close = Network(x1=(6, 0.75), x2=(8, 0.85))
    assert choose_magnifications(close, IMAGE).detecting == (2.0, 1.0)
    same = Network(x1=(6, 0.8), x2=(12, 0.85))
    assert choose_magnifications(same, IMAGE).detecting == (1.0,)
    wide = Network(x1=SURE, x2=(8, 0.99))
    assert 2.0 not in choose_magnifications(wide, IMAGE, 0.1).detecting
    assert 2.0 not in wide.seen


def test_distances_that_no_crystal_has_are_no_columns():
    reduced = Network(**{"x1": SURE, "x0.25": (8, 0.9)})
    assert choose_magnifications(reduced, IMAGE, 0.25).detecting == (1.0,)
    assert choose_magnifications(reduced, IMAGE).detecting == (1.0, 0.25)


@pytest.mark.parametrize(
    ("spacing", "trained", "factor"),
    [
        (20.0, (5.0, 34.0), 1.0),
        (40.0, (5.0, 34.0), 0.5),
        (40.0, (5.0, 57.0), 0.5),
        (100.0, (5.0, 34.0), 0.25),
        (4.0, (5.0, 34.0), 2.0),
        (500.0, (5.0, 34.0), 1.0),
        (500.0, None, 1.0),
    ],
)
def test_the_least_magnification_into_the_range_of_the_training(spacing, trained, factor):
    assert nearest_magnification(spacing, trained) == factor


def test_restoration_resamples_only_beyond_the_range_of_the_training(monkeypatch):
    """Whatever the magnifications at which columns are looked for."""
    chosen = Magnifications(1.0, (0.5, 0.25), 20.0)
    monkeypatch.setattr(predictor, "choose_magnifications", lambda *_: chosen)
    plain = predict(IMAGE, ("denoise",), sampling=0.12)
    assert plain.settings["zoom"] == 1.0
    both = predict(IMAGE, ("denoise", "column_map"), sampling=0.12)
    np.testing.assert_allclose(both.maps["denoise"], plain.maps["denoise"], rtol=1e-4, atol=1e-4)
    assert both.settings["magnifications"] == [0.5, 0.25]
    assert {f: m["column_map"].shape for f, m in both.magnified.items()} == {
        0.5: (64, 64),
        0.25: (32, 32),
    }
    assert list(both.magnified[0.5]) == ["column_map"]
    assert both.maps["column_map"].shape == (128, 128)


def test_columns_far_apart_are_restored_at_the_scale_of_the_training():
    sim = atomseg.simulate("Pt", shape=(256, 256), sampling=0.03, dose=1e6, seed=2)
    made = predict(sim.image, ("denoise",))
    assert made.spacing == pytest.approx(3.924 / 2 / 0.03, rel=0.2)
    assert made.settings["zoom"] == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_the_spacing_is_seen_in_sparse_counts(seed):
    """Scales that noise alone would make are not taken for the lattice."""
    y, x = np.mgrid[:320, :320] * (2 * np.pi / 54)
    lattice = (2 + np.cos(y) + np.cos(x)) ** 2 / 16
    image = np.random.default_rng(seed).poisson(0.04 * lattice).astype(np.float32)
    assert image.mean() < 0.015
    assert 54 / 1.5 < estimate_spacing(image) < 54 * 1.5


@pytest.mark.parametrize("slowness", [0.0, 0.4, 0.7, 1.0])
@pytest.mark.parametrize(("spacing", "electrons"), [(6.0, 3.0), (12.0, 0.6), (25.0, 1.0)])
def test_noise_of_a_slow_detector_is_no_lattice(spacing, electrons, slowness):
    """Its neighbouring pixels share their noise, whose power falls with the frequency."""
    rows, cols = np.mgrid[:320, :320] * (2 * np.pi / spacing)
    lattice = np.exp(np.cos(rows + 0.3 * cols) + np.cos(cols - 0.3 * rows) - 2.0)
    counts = np.random.default_rng(1).poisson(electrons * lattice).astype(float)
    image = ndimage.gaussian_filter(counts, slowness).astype(np.float32)
    found = estimate_spacing(image) * np.hypot(1.0, 0.3)
    assert found == pytest.approx(spacing, rel=0.35)


def noisy(crystal, sampling, seed, electrons, *, dark):
    """Atoms among shades and uneven lines; so many electrons in the brightest pixel."""
    sim = atomseg.simulate(
        crystal, shape=(192, 192), sampling=sampling, dose=1e5, seed=seed, background=0.2
    )
    ideal = (sim.ideal - sim.ideal.min()) / np.ptp(sim.ideal)
    rng = np.random.default_rng(seed)
    counts = rng.poisson((1 - 0.8 * ideal if dark else 0.2 + 0.8 * ideal) * electrons)
    return counts + 0.03 * electrons * rng.normal(size=(192, 1))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("crystal", "sampling", "seed", "electrons"),
    [("Pt", 0.1, 1, 30), ("SrTiO3", 0.16, 4, 8), ("SrTiO3", 0.1, 8, 8), ("GaAs", 0.16, 6, 2)],
)
def test_contrast_is_seen_through_noise(crystal, sampling, seed, electrons, dark):
    image = noisy(crystal, sampling, seed, electrons, dark=dark)
    made = predict(image, ("denoise",))
    assert made.contrast == ("dark" if dark else "bright")


def test_the_network_tells_what_the_skewness_does_not():
    image = noisy("GaAs", 0.16, 6, 2, dark=True).astype(np.float32)
    spacing = estimate_spacing(image)
    assert guess_contrast(image, spacing) == "bright"
    assert Predictor(weights.resolve(None), "cpu").leaning(image) < 0


@pytest.mark.parametrize("dose", [2e3, 2e4])
def test_a_bright_honeycomb_is_no_dark_lattice(dose):
    sim = atomseg.simulate("graphene", shape=(112, 112), sampling=0.16, dose=dose, seed=int(dose))
    assert predict(sim.image, ("denoise",), sampling=0.16).contrast == "bright"


def test_the_network_is_asked_only_in_doubt(monkeypatch):
    def lean():
        raise AssertionError

    rows, cols = np.mgrid[:120, :120]
    spots = (np.cos(np.pi * rows / 10) * np.cos(np.pi * cols / 10)) ** 20
    assert guess_contrast(spots, 10.0, lean) == "bright"
    assert guess_contrast(-spots, 10.0, lean) == "dark"
    even = np.cos(np.pi * rows / 10) * np.cos(np.pi * cols / 10)
    assert guess_contrast(even, 10.0, lambda: 0.1) == "bright"
    assert guess_contrast(even, 10.0, lambda: -0.1) == "dark"
    assert -DOUBTFUL < DARK < 0
    monkeypatch.setattr(Predictor, "leaning", lean)
    for contrast in ("bright", "dark"):
        assert predict(IMAGE, ("denoise",), contrast=contrast).contrast == contrast


def test_a_model_for_which_spacing_does_not_matter_resamples_nothing(tmp_path: Path):
    from napari_atomseg.networks.files import load_weights, save_weights

    network, card = load_weights(weights.resolve(None))
    path = tmp_path / "any.safetensors"
    save_weights(path, network, card.model_copy(update={"spacing_range": None}))
    sim = atomseg.simulate("Pt", shape=(160, 160), sampling=0.03, dose=1e6, seed=2)
    assert predict(sim.image, ("denoise",), model=path).settings["zoom"] == 1.0


def test_small_images_go_through_the_network_once_a_magnification():
    image = atomseg.simulate("SrTiO3", shape=(160, 160), sampling=0.1, dose=2e4, seed=1).image
    predictor, seen = Predictor(weights.resolve(None), "cpu", "full"), []
    predictor.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    tasks = ("denoise", "column_map")
    chosen = predictor.magnifications(image, tasks)
    tried = len(seen)
    first = predictor.maps(image, tasks, chosen)
    assert len(seen) == tried
    afresh = Predictor(weights.resolve(None), "cpu", "full").maps(image, tasks, chosen)
    for task in tasks:
        assert np.array_equal(first.whole[task], afresh.whole[task])
