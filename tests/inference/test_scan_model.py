"""The shipped model of scan lines: it undoes jitter, and leaves alone what stands still."""

import numpy as np
import pytest

from napari_atomseg import analyze, correct_scan, simulate


def crystal(jitter, name="SrTiO3", dose=2e5, shape=(128, 128), sampling=0.2, **more):
    return simulate(name, shape=shape, sampling=sampling, dose=dose, jitter=jitter, seed=3, **more)


@pytest.mark.slow
def test_jitter_of_a_crystal_is_undone_by_itself() -> None:
    simulation = crystal(0.12, rotation=17.0)
    made = correct_scan(simulation.image, sampling=0.2)
    assert made.frames[0].direction == "rows"
    before, after = (
        analyze.psnr(image, simulation.ideal, affine=True)
        for image in (simulation.image, made.image)
    )
    assert after > before + 2.0
    # Of an image that was turned, columns are the lines.
    turned = correct_scan(np.ascontiguousarray(simulation.image.T))
    assert turned.frames[0].direction == "columns"
    np.testing.assert_allclose(turned.image.T, made.image, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rotation", [0.0, 5.0, 32.0])
@pytest.mark.parametrize("dose", [3e3, 1e5])
def test_still_crystals_come_back_as_they_are(rotation, dose) -> None:
    simulation = crystal(0.0, rotation=rotation, dose=dose)
    made = correct_scan(simulation.image)
    assert made.frames[0].direction == "none"
    assert (made.image == simulation.image).all()
    assert not made.lines[["shift_y", "shift_x"]].to_numpy().any()


@pytest.mark.parametrize("name", ["film", "noise", "flat", "gradient"])
def test_what_is_no_crystal_comes_back_as_it_is(name) -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:128, :128] / 128
    image = {
        "noise": rng.poisson(20.0, (128, 128)).astype(np.float32),
        "flat": np.full((128, 128), 7.0, np.float32),
        "gradient": rng.poisson(50.0 + 40.0 * y + 10.0 * x).astype(np.float32),
    }.get(name)
    if image is None:
        image = simulate(
            "amorphous carbon", shape=(128, 128), sampling=0.15, jitter=0.0, seed=1
        ).image
    made = correct_scan(image)
    assert made.frames[0].direction == "none"
    np.testing.assert_array_equal(made.image, image)
    # Even where it is told that rows are lines, none moves further than its error allows.
    forced = correct_scan(image, "rows").frames[0].shifts
    assert (np.abs(forced.jitter) < 3.0 * forced.errors + 1e-9).all()
