"""Images of other libraries bring their calibration; what is no length is not used, and said."""

from __future__ import annotations

import warnings
from types import SimpleNamespace as Object
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pint
import pytest

from napari_atomseg import analyze, localize, measurements
from napari_atomseg._shared.objects import plain_image, plain_sampling, takes_images
from napari_atomseg.io import read_image, write_image
from napari_atomseg.io.images.image import MicroscopeImage, make_image

PIXELS = np.random.default_rng(0).normal(5.0, 1.0, (12, 16))
STACK = np.stack([PIXELS] * 3)
UNITS = pint.get_application_registry()


def hyperspy(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    """`Signal2D`: signal axes are x and y, in this order."""
    axes = [Object(scale=step, units=unit, name=name) for step, name in ((x, "x"), (y, "y"))]
    return Object(data=data, axes_manager=Object(signal_axes=tuple(axes), navigation_axes=()))


def xarray(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    coords = {
        name: Object(
            values=3.0 + step * np.arange(n), attrs={} if unit is None else {"units": unit}
        )
        for name, step, n in zip("yx", (y, x), data.shape[-2:], strict=True)
    }
    return Object(data=data, dims=("frame", "y", "x")[-data.ndim :], coords=coords, attrs={})


def abtem(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    """`Images`: axes x and y of the specimen are rows and columns of the array."""
    axes = [Object(sampling=step, units=unit, label=name) for step, name in ((y, "x"), (x, "y"))]
    return Object(array=data, axes_metadata=[Object(label="frame")] * (data.ndim - 2) + axes)


def py4dstem(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    steps, units = (1, y, x)[-data.ndim :], ["pixels", unit, unit][-data.ndim :]
    dims = [step * np.arange(n) for step, n in zip(steps, data.shape, strict=True)]
    return Object(data=data, dims=dims, dim_units=units, dim_names=["", "Rx", "Ry"])


def quantem(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    steps = np.array([1, y, x][-data.ndim :])
    return Object(array=data, sampling=steps, units=[unit] * data.ndim, origin=np.zeros(data.ndim))


def nion(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    axes = [Object(scale=step, units=unit or "") for step in (1, y, x)[-data.ndim :]]
    return Object(data=data, dimensional_calibrations=axes)


def napari(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    known = UNITS.Unit(unit) if unit in ("nm", "1/nm", "mrad") else UNITS.pixel
    scale = np.array([1, y, x][-data.ndim :])
    return Object(data=data, scale=scale, units=[known] * data.ndim, multiscale=False, name="a")


def rosettasciio(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    axes = [{"scale": 1, "units": ""}, {"scale": y, "units": unit}, {"scale": x, "units": unit}]
    return {"data": data, "axes": axes[-data.ndim :], "metadata": {}}


def ncempy(y: float, x: float, unit: Any, data: Any = PIXELS) -> Any:
    return {"data": data, "pixelSize": (1, y, x)[-data.ndim :], "pixelUnit": [unit] * data.ndim}


LIBRARIES = [hyperspy, xarray, abtem, py4dstem, quantem, nion, napari, rosettasciio, ncempy]


@pytest.mark.parametrize("library", LIBRARIES)
def test_calibration_is_that_of_rows_and_columns(library: Any) -> None:
    for data in (PIXELS, STACK):
        pixels, sampling = plain_image(library(0.02, 0.01, "nm", data))
        assert pixels is data
        np.testing.assert_allclose(sampling, (0.2, 0.1))
    assert plain_image(library(0.02, 0.02, "nm"))[1] == pytest.approx(0.2)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("unit", ["1/nm", "mrad", "furlong", None])
def test_what_is_no_length_is_not_used(library: Any, unit: Any) -> None:
    with pytest.warns(UserWarning, match=r"is no known length per pixel.*sampling="):
        pixels, sampling = plain_image(library(0.02, 0.01, unit))
    assert pixels is PIXELS
    assert sampling is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_pixels_without_calibration_need_no_warning(library: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain_image(library(1.0, 1.0, "px"))[1] is None
        assert plain_image(library(0.02, 0.01, "1/nm"), calibrate=False)[1] is None


@pytest.mark.parametrize("image", [PIXELS, PIXELS.tolist(), da.from_array(PIXELS), None, {}])
def test_arrays_come_back_as_they_are(image: Any) -> None:
    found, sampling = plain_image(image)
    assert found is image
    assert sampling is None


def test_own_images_have_their_sampling(tmp_path: Any) -> None:
    assert plain_image(make_image(tmp_path / "a.dm4", PIXELS, (0.2, 0.1)))[1] == (0.2, 0.1)
    assert plain_image(MicroscopeImage(PIXELS, 0.1, ("y", "x"))) == (PIXELS, 0.1)
    assert plain_image(MicroscopeImage(PIXELS, None, ("y", "x")))[1] is None


def test_lazy_pixels_stay_lazy() -> None:
    lazy = da.from_array(PIXELS)
    assert plain_image(hyperspy(0.02, 0.01, "nm", lazy))[0] is lazy


def test_spectra_and_collections_are_refused() -> None:
    spectrum = hyperspy(1, 1, "eV")
    spectrum.axes_manager.signal_axes = spectrum.axes_manager.signal_axes[:1]
    with pytest.raises(TypeError, match="1 signal dimensions"):
        plain_image(spectrum)
    with pytest.raises(TypeError, match=r"image is an xarray Dataset.*haadf, bf"):
        plain_image(Object(data_vars={"haadf": 0, "bf": 0}))
    turned = xarray(0.02, 0.01, "nm")
    turned.dims = ("y", "x", "channel")
    with pytest.raises(TypeError, match="must come last"):
        plain_image(turned)


def test_lists_of_objects_are_stacks() -> None:
    pixels, sampling = plain_image([hyperspy(0.02, 0.01, "nm"), hyperspy(0.02, 0.01, "nm")])
    np.testing.assert_array_equal(pixels, STACK[:2])
    np.testing.assert_allclose(sampling, (0.2, 0.1))
    with pytest.raises(ValueError, match="different calibrations"):
        plain_image([hyperspy(0.02, 0.01, "nm"), hyperspy(0.02, 0.02, "nm")])


def test_written_images_keep_the_calibration(tmp_path: Any) -> None:
    write_image(tmp_path / "a.tif", hyperspy(0.02, 0.01, "nm", PIXELS.astype(np.float32)))
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").sampling, (0.2, 0.1), rtol=1e-6)


def test_uneven_coordinates_are_not_used() -> None:
    image = xarray(0.02, 0.01, "nm")
    image.coords["y"].values = image.coords["y"].values ** 2
    with pytest.warns(UserWarning, match="not used"):
        assert plain_image(image)[1] is None
    image.coords = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain_image(image)[1] is None


def test_slices_of_py4dstem_have_the_calibration_of_their_data_set() -> None:
    calibration = Object(
        get_R_pixel_size=lambda: 0.02,
        get_R_pixel_units=lambda: "nm",
        get_Q_pixel_size=lambda: 0.02,
        get_Q_pixel_units=lambda: "A^-1",
    )
    fields = vars(py4dstem(1, 1, "pixels")) | {"calibration": calibration}
    real, diffraction = (type(name, (), fields)() for name in ("RealSlice", "DiffractionSlice"))
    assert plain_image(real)[1] == pytest.approx(0.2)
    with pytest.warns(UserWarning, match=r"A\^-1.*not used"):
        assert plain_image(diffraction)[1] is None


def test_quantities_of_pint() -> None:
    pixels, sampling = plain_image(PIXELS * UNITS.volt)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert sampling is None
    for value, expected in (
        (0.02 * UNITS.nanometer, 0.2),
        (20 * UNITS.picometer / UNITS.pixel, 0.2),
        ((0.02 * UNITS.nm, 0.1 * UNITS.angstrom), (0.2, 0.1)),
        (np.array([0.02, 0.01]) * UNITS.nm, (0.2, 0.1)),
        (0.1, 0.1),
    ):
        assert plain_sampling(value) == pytest.approx(expected)
    assert plain_sampling(None) is None
    with pytest.raises(ValueError, match="must be a length"):
        plain_sampling(1 / UNITS.nm)


def test_functions_take_the_calibration_or_that_given_by_hand() -> None:
    @takes_images("image", "other")
    def function(image: Any, other: Any = None, sampling: Any = None) -> Any:
        return image, other, sampling

    signal = hyperspy(0.02, 0.02, "nm")
    assert function(signal)[2] == pytest.approx(0.2)
    assert function(image=signal, other=signal)[1] is PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function(hyperspy(1, 1, "1/nm"), None, 0.5)[2] == 0.5
        assert function(signal, sampling=0.03 * UNITS.nm)[2] == pytest.approx(0.3)
        assert function(PIXELS)[2] is None
    with pytest.warns(UserWarning, match="given as image") as caught:
        function(hyperspy(1, 1, "1/nm"))
    assert caught[0].filename == __file__


def test_measurements_and_analyses_take_them() -> None:
    signal, ends = hyperspy(0.02, 0.01, "nm"), {"start": (2, 2), "end": (9, 12)}
    by_hand = analyze.line_profile(PIXELS, **ends, sampling=(0.2, 0.1))
    pd.testing.assert_frame_equal(analyze.line_profile(signal, **ends), by_hand)
    seen = measurements.line(image=signal, **ends).table
    by_hand = measurements.line(image=PIXELS, sampling=(0.2, 0.1), **ends).table
    pd.testing.assert_frame_equal(seen, by_hand)


@pytest.mark.slow
def test_measurements_of_abtem() -> None:
    abtem = pytest.importorskip("abtem")
    images = abtem.Images(PIXELS.astype(np.float32), sampling=(0.2, 0.1))
    pixels, sampling = plain_image(images)
    np.testing.assert_array_equal(pixels, images.array)
    np.testing.assert_allclose(sampling, (0.2, 0.1))
    assert hasattr(plain_image(images.ensure_lazy())[0], "dask")
    patterns = abtem.measurements.DiffractionPatterns(PIXELS, sampling=0.05)
    with pytest.warns(UserWarning, match="1/Å.*not used"):
        assert plain_image(patterns)[1] is None


def test_columns_are_those_of_the_pixels_with_their_sampling() -> None:
    y, x = np.indices((96, 96))
    image = sum(
        np.exp(-((y - i) ** 2 + (x - j) ** 2) / 8.0)
        for i in range(8, 96, 16)
        for j in range(8, 96, 16)
    )
    by_hand = localize(image, sampling=0.2, detector="peaks", refine="none")
    found = localize(hyperspy(0.02, 0.02, "nm", image), detector="peaks", refine="none")
    pd.testing.assert_frame_equal(found, by_hand)
    assert len(found) == 36
    assert found.attrs["sampling"] == pytest.approx(0.2)
