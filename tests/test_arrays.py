"""Arrays as users have them: of any layout, type and shape, with any sampling.

The result is that of the same numbers in a plain array, or the argument is refused by its name; the
array stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.localization import refine_columns
from napari_atomseg.measurements import measure

SIDE = 48
_PROFILE = np.exp(6.0 * (np.cos(2 * np.pi * np.arange(SIDE) / 9.6) - 1.0))
IMAGE = np.random.default_rng(0).poisson(2.0 + 60.0 * np.outer(_PROFILE, _PROFILE))
IMAGE = IMAGE.clip(0, 120).astype(np.float64)
PEAKS: Any = {"detector": "peaks", "sensitivity": 0.0}
COLUMNS = atomseg.localize(IMAGE, sampling=0.2, **PEAKS)


def integrals(image: Any, **options: Any) -> Any:
    return measure("integrals", COLUMNS, image, **options).columns


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "restore": lambda image, **options: atomseg.restore(image, **{"sampling": 0.2, **options}),
    "segment": lambda image, **options: atomseg.segment(image, **{"sampling": 0.2, **options}),
    "localize": lambda image, **options: atomseg.localize(
        image, **{"sampling": 0.2, **PEAKS, **options}
    ),
    "refit": lambda image, **options: refine_columns(image, COLUMNS, **options),
    "measure": integrals,
}
TYPES = ("u1", "i8", "u8", "f2", "g", ">u2", ">f4")


def layouts(folder: Path) -> dict[str, Any]:
    """The numbers of the image in other places and types."""
    wide = np.full((2 * SIDE, 3 * SIDE), np.nan)
    wide[::2, ::3] = IMAGE
    frozen = IMAGE.copy()
    frozen.flags.writeable = False
    mapped = np.memmap(folder / "a.raw", np.float64, "w+", shape=IMAGE.shape)
    mapped[:] = IMAGE
    return {
        "Fortran": np.asfortranarray(IMAGE),
        "negative strides": IMAGE[::-1, ::-1].copy()[::-1, ::-1],
        "not contiguous": wide[::2, ::3],
        "read-only": frozen,
        "memory-mapped": mapped,
        **{kind: IMAGE.astype(kind) for kind in TYPES},
    }


def result_or_reason(name: str, image: Any, **options: Any) -> tuple[Any, str]:
    """What a function makes of an image, or None and why it refuses it."""
    try:
        return FUNCTIONS[name](image, **options), ""
    except ValueError as error:
        return None, str(error)


def same(found: Any, expected: Any) -> bool:
    """Whether results are equal but for the rounding of single precision."""
    if isinstance(found, pd.DataFrame):
        numbers = list(expected.select_dtypes("number"))
        return len(found) == len(expected) and bool(
            np.allclose(found[numbers], expected[numbers], rtol=1e-3, atol=1e-3, equal_nan=True)
        )
    return bool(np.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(np.ptp(expected))))


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_place_and_the_type_of_the_numbers_do_not_matter(name: str, tmp_path: Path) -> None:
    function = FUNCTIONS[name]
    expected = function(IMAGE)
    wrong = []
    for layout, array in layouts(tmp_path).items():
        before = np.array(array)
        if not same(function(array), expected):
            wrong.append(layout)
        np.testing.assert_array_equal(np.asarray(array), before)
    assert not wrong


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_image_is_refused_by_name(name: str) -> None:
    for shape in ((0, SIDE), (0, 0), (SIDE,), ()):
        with pytest.raises(ValueError, match="image"):
            FUNCTIONS[name](np.ones(shape))
    for kind in (complex, object, str, "M8[s]"):
        with pytest.raises((TypeError, ValueError), match="image"):
            FUNCTIONS[name](IMAGE.astype(kind))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restore", "segment", "localize"])
def test_images_of_any_shape_give_a_result_of_that_shape(name: str) -> None:
    shapes = ((1, 1), (1, SIDE), (SIDE, 1), (2, 2), (17, 31), (1, SIDE, SIDE), (1, 2, 9, 9))
    for shape in shapes:
        image = np.resize(IMAGE, shape)
        found = FUNCTIONS[name](image)
        if name == "localize":
            assert found[["y", "x"]].to_numpy().shape[1] == 2
        else:
            assert found.shape == image.shape


@pytest.mark.parametrize("name", ["restore", "segment", "localize"])
@pytest.mark.parametrize("sampling", [0, -1.0, np.nan, np.inf, "a", (1.0, 2.0, 3.0), []])
def test_a_sampling_that_is_none_is_refused_by_name(name: str, sampling: Any) -> None:
    with pytest.raises(ValueError, match="sampling"):
        FUNCTIONS[name](IMAGE, sampling=sampling)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restore", "segment", "localize"])
@pytest.mark.parametrize("sampling", [1e-9, 1e9, (0.2, 3.0), (1e6, 0.2)])
def test_an_extreme_sampling_gives_a_result_or_is_refused_by_name(name: str, sampling: Any) -> None:
    found, reason = result_or_reason(name, IMAGE, sampling=sampling)
    assert (found is None) == ("sampling" in reason)
    assert found is not None or sampling == (1e6, 0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_unit_of_the_intensities_does_not_matter_or_is_refused(name: str) -> None:
    """Squares of huge and of tiny values are infinite and zero, and what follows is wrong."""
    expected = FUNCTIONS[name](IMAGE)
    for factor in (1e-280, 1e-100, 1e-40, 1e-25, 1e25, 1e37, 1e200):
        found, reason = result_or_reason(name, factor * IMAGE)
        if found is None:
            assert not 1e-30 < factor < 1e28
            assert "image has values up to" in reason
        elif isinstance(found, pd.DataFrame):
            # Fits come to rest within a part of their errors, by a way that rounding decides.
            for place in ("y", "x"):
                off = np.abs(found[place] - expected[place])
                assert (off <= np.fmax(1e-4, 0.02 * expected[f"{place}_err"])).all()
        elif name == "segment":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found / factor, expected, atol=1e-3 * np.ptp(expected))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_images_without_numbers_hold_nothing(name: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        found, reason = result_or_reason(name, np.full_like(IMAGE, value))
        if found is None:
            assert "image" in reason
        elif name == "localize":
            assert len(found) == 0
        elif name in ("segment", "restore"):
            assert not found.any()
        else:  # the columns that were there, without numbers
            assert len(found) == len(COLUMNS)
