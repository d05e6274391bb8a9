"""The shipped model on simulated images: what it keeps, what it survives, what it refuses."""

from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
import torch

import napari_atomseg as atomseg
from napari_atomseg.inference import predict, predictor
from napari_atomseg.inference.frames import as_frames
from napari_atomseg.inference.magnification import Magnifications
from napari_atomseg.inference.tiles import OVERLAP, tiles, upsampled
from napari_atomseg.networks import unet
from napari_atomseg.progress import Cancelled, CancelToken

SIM = atomseg.simulate("SrTiO3", shape=(192, 224), sampling=0.12, dose=1e5, background=0.3, seed=11)
IMAGE = SIM.image


def psnr(image, truth):
    return 10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2))


def test_denoising_comes_closer_to_the_truth():
    assert psnr(atomseg.restore(IMAGE), SIM.ideal) > psnr(IMAGE, SIM.ideal) + 5


def test_the_background_goes_and_the_columns_stay():
    flat = atomseg.restore(IMAGE, "denoise_background")
    truth = SIM.targets["no_background_no_noise"]
    assert np.corrcoef(flat.ravel(), truth.ravel())[0, 1] > 0.97
    assert abs(np.median(flat) - np.median(truth)) < 0.15


def test_super_resolution_narrows_the_columns():
    sharp = atomseg.restore(IMAGE, "superresolution")
    truth = SIM.targets["no_noise_no_background_superresolution"]
    assert np.corrcoef(sharp.ravel(), truth.ravel())[0, 1] > 0.9
    assert sharp.mean() == pytest.approx(truth.mean(), rel=0.35)


def test_up_interpolation_is_the_denoised_image_on_finer_pixels():
    made = predict(IMAGE, ("upinterpolation", "denoise")).maps
    fine, denoised = made["upinterpolation"], made["denoise"]
    assert fine.shape == (384, 448)
    assert fine.dtype == np.float32
    np.testing.assert_allclose(fine, upsampled(torch.from_numpy(denoised)), atol=1e-4)
    # The means of the four pixels in the place of each are the image but for what it has finest.
    means = fine.reshape(192, 2, 224, 2).mean(axis=(1, 3))
    assert np.abs(means - denoised).mean() < 0.02 * np.ptp(denoised)
    truth = upsampled(torch.from_numpy(SIM.ideal)).numpy()
    assert psnr(fine, truth) > psnr(IMAGE, SIM.ideal) + 5


def test_up_interpolation_keeps_the_sign_and_level_of_dark_images():
    bright, dark = (atomseg.restore(i, "upinterpolation") for i in (IMAGE + 40, -IMAGE - 40))
    np.testing.assert_allclose(dark, -bright, atol=2e-3)
    assert bright.mean() == pytest.approx(float(IMAGE.mean()) + 40, abs=0.1)
    flat = atomseg.restore(np.full((5, 4), 7.5), "upinterpolation")
    assert flat.shape == (10, 8)
    assert np.allclose(flat, 7.5)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (2, 3, 17, 19)])
def test_up_interpolation_doubles_the_last_two_axes(shape):
    image = np.random.default_rng(0).random(shape)
    assert atomseg.restore(image, "upinterpolation").shape == (
        *shape[:-2],
        2 * shape[-2],
        2 * shape[-1],
    )


def test_up_interpolation_doubles_the_chunks_of_dask_arrays():
    stack = np.stack([IMAGE[:64, :64], IMAGE[64:128, :64]])
    lazy = atomseg.restore(da.from_array(stack, chunks=(2, 32, 64)), "upinterpolation")
    assert isinstance(lazy, da.Array)
    assert lazy.chunks == ((1, 1), (128,), (128,))
    whole = lazy.compute()
    assert whole.shape == lazy.shape
    np.testing.assert_allclose(whole[0], atomseg.restore(stack[0], "upinterpolation"), atol=1e-5)


def test_up_interpolation_works_at_every_magnification():
    far = atomseg.simulate("Pt", shape=(256, 256), sampling=0.03, dose=1e6, seed=2)
    made = predict(far.image, ("upinterpolation",))
    assert made.settings["zoom"] < 1.0
    assert made.maps["upinterpolation"].shape == (512, 512)
    truth = upsampled(torch.from_numpy(far.ideal)).numpy()
    assert np.corrcoef(made.maps["upinterpolation"].ravel(), truth.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("scale", "offset"), [(250.0, 1000.0), (1e-6, -3e-7), (3.0, 0.0)])
def test_restoration_follows_scale_and_offset_of_the_intensities(scale, offset):
    plain = atomseg.restore(IMAGE)
    moved = (atomseg.restore(IMAGE.astype(np.float64) * scale + offset) - offset) / scale
    assert np.abs(moved - plain).max() < 2e-2 * np.ptp(plain)


def test_counts_on_a_large_offset_in_single_precision_are_no_constant_image():
    counts = np.round(40 * (IMAGE - IMAGE.min()) / np.ptp(IMAGE)).astype(np.float32)
    plain, moved = atomseg.restore(counts), atomseg.restore(counts + np.float32(10**7))
    assert np.abs(moved - np.float64(10**7) - plain).max() < 2e-2 * np.ptp(plain)


def test_the_type_of_the_numbers_does_not_matter():
    counts = np.clip(np.round(IMAGE * 400), 0, 65535)
    results = [atomseg.restore(counts.astype(kind)) for kind in (np.uint16, np.int32, np.float64)]
    assert np.allclose(results[0], results[1], atol=1e-2)
    assert np.allclose(results[0], results[2], atol=1e-2)


@pytest.mark.parametrize("model", ["stem-hr", "restore-hr-stem"])
def test_the_size_of_tiles_makes_no_difference(model):
    whole = atomseg.restore(IMAGE, model=model, tile_size=1024, precision="full")
    tiled = atomseg.restore(IMAGE, model=model, tile_size=128, precision="full")
    assert np.abs(tiled - whole).max() < 1e-3 * whole.std()


@pytest.mark.slow
def test_windows_of_large_images_leave_no_seams(monkeypatch):
    whole = predict(IMAGE, ("denoise", "column_map"))
    monkeypatch.setattr(predictor, "VIEW", 160)
    tiled = predict(IMAGE, ("denoise", "column_map"))
    assert whole.settings["magnifications"][0] == 1.0
    inner = (slice(8, -8), slice(8, -8))
    spread = np.ptp(whole.maps["denoise"])
    borders = np.zeros(IMAGE.shape, dtype=bool)
    for tile in tiles(IMAGE.shape, 160):
        for row in {tile.top, tile.bottom} - {0, IMAGE.shape[0]}:
            borders[row - 4 : row + 4] = True
        for col in {tile.left, tile.right} - {0, IMAGE.shape[1]}:
            borders[:, col - 4 : col + 4] = True
    # The spectral gates see a window, not the whole image, so maps differ a little everywhere.
    for task, scale in (("denoise", spread), ("column_map", 1.0)):
        change = np.abs(tiled.maps[task] - whole.maps[task]) / scale
        assert change[inner].mean() < 0.01
        assert change[borders].mean() < 0.01
    change = np.abs(tiled.maps["denoise"] - whole.maps["denoise"])
    assert change[inner].max() < 0.03 * spread


@pytest.mark.parametrize(
    ("shape", "size"), [((100, 90), 128), ((1000, 300), 256), ((257, 257), 256)]
)
def test_tiles_cover_everything_with_overlap(shape, size):
    cover = np.zeros(shape, int)
    for tile in tiles(shape, size):
        assert tile.bottom - tile.top <= size
        assert tile.right - tile.left <= size
        cover[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert cover.min() >= 1
    rows = sorted({(t.top, t.bottom) for t in tiles(shape, size)})
    for first, second in pairwise(rows):
        assert first[1] - second[0] >= min(OVERLAP, size // 2) - 32


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_columns_are_found_at_every_magnification(zoom):
    sim = atomseg.simulate("Pt", shape=(256, 256), sampling=0.1 / zoom, dose=1e5, seed=2)
    expected = 3.924 / 2 / (0.1 / zoom)
    found = predict(sim.image, ("column_map",)).spacing
    assert 0.75 * expected < found < 1.45 * expected


def test_dark_columns_are_seen_as_dark_and_stay_dark():
    dark = predict(-IMAGE, ("denoise", "column_map"))
    bright = predict(IMAGE, ("denoise", "column_map"))
    assert (dark.contrast, bright.contrast) == ("dark", "bright")
    assert np.allclose(dark.maps["denoise"], -bright.maps["denoise"], atol=1e-3)
    assert np.allclose(dark.maps["column_map"], bright.maps["column_map"], atol=1e-2)


def test_one_bad_pixel_spoils_only_itself():
    holes = IMAGE.copy()
    holes[50, 60], holes[100, 20] = np.nan, np.inf
    restored = atomseg.restore(holes)
    assert np.isfinite(restored).all()
    assert np.median(np.abs(restored - atomseg.restore(IMAGE))) < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (2, 17, 19)])
def test_small_images_come_back_in_their_shape(shape):
    image = np.random.default_rng(0).random(shape)
    assert atomseg.restore(image).shape == shape


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_constant_images_are_their_own_restoration_and_hold_no_columns(value):
    maps = predict(np.full((40, 50), value), ("denoise", "column_map")).maps
    assert np.allclose(maps["denoise"], np.nan_to_num(value))
    assert maps["column_map"].max() == 0


def test_stacks_are_restored_frame_by_frame_and_dask_stays_lazy():
    stack = np.stack([IMAGE[:96, :96], IMAGE[96:, 96:192]])
    restored = atomseg.restore(stack)
    assert restored.shape == stack.shape
    lazy = atomseg.restore(da.from_array(stack, chunks=(2, 48, 96)))
    assert isinstance(lazy, da.Array)
    assert np.corrcoef(lazy.compute().ravel(), restored.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("image", "error", "word"),
    [
        (np.zeros(5), ValueError, "two axes"),
        (np.zeros((0, 5)), ValueError, "no pixels"),
        (np.zeros((30, 30, 3)), ValueError, "RGB"),
        (np.zeros((5, 5), complex), TypeError, "complex"),
        (np.array([["a", "b"]]), TypeError, "real numbers"),
    ],
)
def test_unusable_arrays_are_refused_with_a_reason(image, error, word):
    with pytest.raises(error, match=word):
        as_frames(image)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"task": "beautify"}, "task"),
        ({"device": "tpu"}, "device"),
        ({"precision": "quarter"}, "precision"),
        ({"contrast": "grey"}, "contrast"),
        ({"sampling": -1.0}, "sampling"),
        ({"tile_size": 8}, "tile_size"),
    ],
)
def test_bad_arguments_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        atomseg.restore(IMAGE, **options)


def test_progress_is_told_and_cancelling_stops(monkeypatch):
    told = []
    monkeypatch.setattr(predictor, "VIEW", 160)
    atomseg.restore(IMAGE, progress=lambda *a: told.append(a))
    assert told[-1][0] == told[-1][1] > 1
    token = CancelToken()

    def cancel_at_once(done, total, message):
        token.cancel()

    with pytest.raises(Cancelled):
        atomseg.restore(IMAGE, progress=cancel_at_once, cancel=token)


def test_cancelling_stops_between_the_pieces_of_a_window(monkeypatch):
    token, calls = CancelToken(), []
    block = unet.Block.forward

    def cancelled_within(self, x):
        calls.append(x.shape)
        token.cancel()
        return block(self, x)

    monkeypatch.setattr(unet.Block, "forward", cancelled_within)
    with pytest.raises(Cancelled):
        atomseg.restore(IMAGE[::-1], tile_size=128, cancel=token)
    assert len(calls) == 1


def test_memory_running_out_halves_the_tiles(monkeypatch):
    from napari_atomseg.inference.predictor import Predictor
    from napari_atomseg.weights import resolve

    loaded = Predictor(resolve(None), "cpu", "full", 256)
    forward, refused = loaded.network.forward, []

    def short_of_memory(x):
        if x.shape[-1] > 150:
            refused.append(x.shape)
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return forward(x)

    monkeypatch.setattr(loaded.network, "forward", short_of_memory)
    maps = loaded.maps(IMAGE, ("denoise",), Magnifications(1.0, (1.0,), 12.0)).whole
    assert refused
    assert psnr(maps["denoise"], SIM.ideal) > psnr(IMAGE, SIM.ideal)
