"""When an image is resampled for the network, and which way its atoms are taken to stand out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import napari_atomseg as atomseg
from napari_atomseg import weights
from napari_atomseg.inference import Predictor, estimate_spacing, predict, predictor
from napari_atomseg.inference.predictor import LOYALTY, ZOOMS, Zoom, choose_zoom, nearest_zoom
from napari_atomseg.inference.scale import DARK, DOUBTFUL, guess_contrast

IMAGE = atomseg.simulate("SrTiO3", shape=(128, 128), sampling=0.12, dose=1e4, seed=3).image


class Seer:
    """A network that sees columns so far apart, surer or less at each magnification."""

    def __init__(self, apart: int = 12, **sureness: float) -> None:
        self.apart, self.sureness, self.seen = apart, sureness, []

    def __call__(self, image):
        factor = image.shape[-1] / 128
        self.seen.append(factor)
        probability = torch.zeros(image.shape[-2:])
        half = self.apart // 2
        probability[half :: self.apart, half :: self.apart] = self.sureness.get(f"x{factor:g}", 0.0)
        return probability


def test_nothing_else_is_tried_where_the_image_as_it_is_is_sure_enough():
    sure = Seer(x1=LOYALTY)
    assert choose_zoom(sure, IMAGE) == Zoom(1.0, 12.0)
    assert sure.seen == [1.0]
    surest = Seer(**{"x1": 0.7, "x0.5": 0.9})
    assert choose_zoom(surest, IMAGE) == Zoom(0.5, 24.0)
    assert surest.seen == list(ZOOMS)


@pytest.mark.parametrize(
    ("native", "reduced", "factor"), [(0.55, 0.8, 0.5), (0.55, 0.65, 1.0), (0.75, 0.8, 1.0)]
)
def test_columns_close_together_in_a_reduced_image_are_believed_where_that_is_clear(
    native, reduced, factor
):
    assert choose_zoom(Seer(6, **{"x1": native, "x0.5": reduced}), IMAGE).factor == factor


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
    assert nearest_zoom(spacing, trained) == Zoom(factor, spacing)


@pytest.mark.parametrize(("spacing", "restoring"), [(20.0, 1.0), (60.0, 0.5)])
def test_restoration_resamples_only_beyond_the_range_of_the_training(
    spacing, restoring, monkeypatch
):
    """Localization takes the magnification at which the columns are seen best."""
    monkeypatch.setattr(predictor, "choose_zoom", lambda *_: Zoom(0.5, spacing))
    monkeypatch.setattr(predictor, "estimate_spacing", lambda *_: spacing)
    for tasks, factor in (
        (("denoise",), restoring),
        (("superresolution", "upinterpolation"), restoring),
        (("column_map",), 0.5),
        (("denoise", "column_map"), 0.5),
    ):
        made = predict(IMAGE, tasks)
        assert (made.settings["zoom"], made.spacing) == (factor, spacing)


def test_columns_far_apart_are_restored_at_the_scale_of_the_training():
    sim = atomseg.simulate("Pt", shape=(256, 256), sampling=0.03, dose=1e6, seed=2)
    made = predict(sim.image, ("denoise",))
    assert made.spacing == pytest.approx(3.924 / 2 / 0.03, rel=0.2)
    assert made.settings["zoom"] == 0.5


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
    assert Predictor(weights.resolve(None), "cpu").contrast(image) == "dark"


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
    monkeypatch.setattr(Predictor, "contrast", lean)
    for contrast in ("bright", "dark"):
        assert predict(IMAGE, ("denoise",), contrast=contrast).contrast == contrast


def test_a_model_for_which_spacing_does_not_matter_resamples_nothing(tmp_path: Path):
    from napari_atomseg.networks.files import load_weights, save_weights

    network, card = load_weights(weights.resolve(None))
    path = tmp_path / "any.safetensors"
    save_weights(path, network, card.model_copy(update={"spacing_range": None}))
    sim = atomseg.simulate("Pt", shape=(160, 160), sampling=0.03, dose=1e6, seed=2)
    assert predict(sim.image, ("denoise",), model=path).settings["zoom"] == 1.0
