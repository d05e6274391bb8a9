"""Images of other libraries: their pixels and calibration, without importing the libraries.

Known by their attributes are `MicroscopeImage` of this package, signals of HyperSpy and libraries
on it, `DataArray` of xarray, measurements of abTEM, arrays of py4DSTEM (emdfile) and quantem, data
of Nion Swift, image layers of napari, quantities of pint and astropy, and the dictionaries of
RosettaSciIO and ncempy. Everything else is an array. Axes stay in the order of the array: the last
two are rows and columns of the image, whatever they are called.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from napari_atomseg._shared.notices import warn_caller
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import angstroms, dimension, to_angstrom
from napari_atomseg.progress import cancellable

P = ParamSpec("P")
R = TypeVar("R")

Step = tuple[Any, Any]
"""Step of an axis and its unit, as the object has them; None where it has none."""


@dataclass(frozen=True)
class _Described:
    """Pixels of an object, the steps of its axes y and x, and what it is."""

    data: Any
    steps: tuple[Step, Step] | None
    what: str


def takes_images(
    *names: str, sampling: bool | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function whose arguments of these names may be images of other libraries.

    Its keyword `cancel`, if it has one, is what a `checkpoint` within looks at.

    They are replaced by their pixels. Where the function has a `sampling` that is not given, it is
    the calibration of the first; one that is given may be a quantity with a unit of length.

    Parameters
    ----------
    sampling : whether the function takes a sampling; by default by its signature.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = list(inspect.signature(function).parameters)
        places = {name: parameters.index(name) for name in names}
        at = parameters.index("sampling") if "sampling" in parameters else len(parameters)
        calibrated = at < len(parameters) if sampling is None else sampling

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            values, named = list(args), dict(kwargs)
            given = values[at] if at < len(values) else named.get("sampling")
            known = plain_sampling(given)
            for number, (name, place) in enumerate(places.items()):
                holder: Any = values if place < len(values) else named
                key: Any = place if place < len(values) else name
                if holder is named and key not in named:
                    continue
                wanted = calibrated and number == 0 and known is None
                holder[key], found = plain_image(holder[key], calibrate=wanted, name=name)
                known = found if wanted else known
            if known is not None and at < len(values):
                values[at] = known
            elif known is not None and calibrated:
                named["sampling"] = known
            cancel: Any = named.get("cancel")
            with cancellable(cancel):
                return function(*values, **named)  # type: ignore[arg-type]

        return wrapped

    return decorate


def plain_image(
    image: Any, *, calibrate: bool = True, name: str = "image"
) -> tuple[Any, Sampling | None]:
    """Pixels and sampling (Å per pixel) of an image of another library.

    A calibration that is no length, or of an unknown unit, is not used, and a warning says so.

    Parameters
    ----------
    image : see the module; anything else comes back as it is.
    calibrate : whether the calibration is wanted; otherwise None is returned, without a warning.
    name : of the argument, for errors.

    Raises
    ------
    TypeError
        It is a spectrum, or a collection of several images.
    """
    found = _described(image, name)
    if found is None:
        return image, None
    if not calibrate or found.steps is None:
        return found.data, None
    sizes = [to_angstrom(_number(step), _unit(unit)) for step, unit in found.steps]
    dy, dx = (
        size if size is not None and np.isfinite(size) and size > 0 else None for size in sizes
    )
    if dy is not None and dx is not None:
        return found.data, dy if np.isclose(dy, dx, rtol=1e-7, atol=0) else (dy, dx)
    if not all(map(_is_uncalibrated, found.steps)):
        stated = " and ".join(
            f"{'without' if step is None else f'{step:.4g}'} {_unit(unit) or '(no unit)'}"
            for step, unit in ((_number(step), unit) for step, unit in found.steps)
        )
        warn_caller(
            f"{found.what}: the calibration of its rows and columns, {stated}, is no known length "
            "per pixel and is not used; give sampling=, Å per pixel, where it is known"
        )
    return found.data, None


def plain_sampling(sampling: Any) -> Any:
    """Sampling in Å per pixel of quantities with units (pint, astropy); others as they are.

    Raises
    ------
    ValueError
        A unit is no length.
    """
    if isinstance(sampling, (tuple, list)):
        return type(sampling)(map(plain_sampling, sampling))
    parts = _quantity(sampling)
    if parts is None:
        return sampling
    value, unit = parts
    factor = angstroms(unit)
    if factor is None:
        raise ValueError(f"sampling={sampling!r} must be a length, or a length per pixel")
    sizes = np.ravel(np.asarray(value, dtype=float) * factor).tolist()
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def _described(image: Any, name: str) -> _Described | None:
    """What an object is, its pixels and its axes; None for arrays, and what is not known."""
    if image is None or type(image) is np.ndarray:
        return None
    for describe in _KINDS:
        found = describe(image, name)
        if found is not None:
            return found
    return None


def _quantity(value: Any) -> tuple[Any, str] | None:
    """Number and unit of a quantity of pint or astropy."""
    for number, unit in (("magnitude", "units"), ("value", "unit")):
        if hasattr(value, number) and hasattr(value, unit) and hasattr(value, "to"):
            return getattr(value, number), str(getattr(value, unit))
    return None


def _of_quantity(image: Any, name: str) -> _Described | None:
    """Quantities count electrons or volts: their unit is no calibration of axes."""
    parts = _quantity(image)
    if parts is None:
        return None
    inner = _described(parts[0], name)
    return inner or _Described(parts[0], None, "a quantity")


def _of_file(image: Any, name: str) -> _Described | None:
    """`MicroscopeImage` of this package."""
    if not all(hasattr(image, each) for each in ("data", "sampling", "axes", "metadata")):
        return None
    sampling = image.sampling
    if sampling is None:
        scales = getattr(image, "scales", ())[-2:]
        return _Described(image.data, tuple(scales) if len(scales) == 2 else None, image.name)
    dy, dx = np.broadcast_to(np.asarray(sampling, dtype=float), (2,))
    return _Described(image.data, ((dy, "Å"), (dx, "Å")), image.name)


def _of_hyperspy(image: Any, name: str) -> _Described | None:
    """`Signal2D` of HyperSpy: its signal axes are x and y, in this order."""
    manager = getattr(image, "axes_manager", None)
    if manager is None or not hasattr(image, "data"):
        return None
    axes = tuple(manager.signal_axes)
    if len(axes) != 2:
        raise TypeError(
            f"{name} is a signal of HyperSpy with {len(axes)} signal dimensions, as spectra have; "
            "an image has two (see its as_signal2D)"
        )
    x, y = axes
    title = f"the signal of HyperSpy given as {name}"
    return _Described(image.data, (_step(y, "scale"), _step(x, "scale")), title)


def _of_nion(image: Any, name: str) -> _Described | None:
    """`DataAndMetadata` of Nion Swift."""
    axes = getattr(image, "dimensional_calibrations", None)
    if axes is None or not hasattr(image, "data") or len(axes) < 2:
        return None
    y, x = axes[-2:]
    return _Described(image.data, (_step(y, "scale"), _step(x, "scale")), f"the data of {name}")


def _of_xarray(image: Any, name: str) -> _Described | None:
    """`DataArray` of xarray: steps of its coordinates, which have their unit in `attrs`."""
    if hasattr(image, "data_vars"):
        raise TypeError(
            f"{name} is an xarray Dataset; give one of its variables: {', '.join(image.data_vars)}"
        )
    if not all(hasattr(image, each) for each in ("dims", "coords", "data")):
        return None
    dims = tuple(image.dims)
    if {"y", "x"} <= set(dims) and set(dims[-2:]) != {"y", "x"}:
        raise TypeError(
            f"{name} is a DataArray of the dimensions {dims}; its image must come last: "
            "transpose(..., 'y', 'x')"
        )
    steps = tuple(_coordinate(image, each) for each in dims[-2:])
    inner = _of_quantity(image.data, name)
    data = image.data if inner is None else inner.data
    return _Described(
        data, (steps[0], steps[1]) if len(steps) == 2 else None, f"the DataArray given as {name}"
    )


def _coordinate(image: Any, dim: Any) -> Step:
    """Step and unit of a coordinate of xarray; None for both where it has none."""
    if dim not in image.coords:
        return None, None
    found = image.coords[dim]
    parts = _quantity(found.data) if hasattr(found, "data") else None
    values = parts[0] if parts else getattr(found, "values", found)
    attrs = getattr(found, "attrs", {})
    unit = attrs.get("units", attrs.get("unit", parts[1] if parts else None))
    return _spacing(values), unit


def _spacing(values: Any) -> float | None:
    """Step of coordinates; None where they are not even."""
    try:
        steps = np.diff(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        return None
    if not len(steps) or not np.allclose(steps, steps.mean(), rtol=1e-3, atol=0):
        return None
    return float(abs(steps.mean()))


def _of_abtem(image: Any, name: str) -> _Described | None:
    """Measurements of abTEM: `Images`, and others with metadata of axes."""
    axes = getattr(image, "axes_metadata", None)
    if axes is None or not hasattr(image, "array"):
        return None
    if len(axes) < 2:
        raise TypeError(f"{name} is a measurement of abTEM with one axis, no image")
    y, x = list(axes)[-2:]
    steps = (_step(y, "sampling"), _step(x, "sampling"))
    return _Described(image.array, steps, f"the measurement of abTEM given as {name}")


def _of_quantem(image: Any, name: str) -> _Described | None:
    """`Dataset2d` of quantem, and its stacks."""
    if not all(hasattr(image, each) for each in ("array", "sampling", "units")):
        return None
    sizes, units = list(np.ravel(image.sampling)), image.units
    units = [units] * len(sizes) if isinstance(units, str) else list(units)
    if len(sizes) < 2 or len(units) != len(sizes):
        return None
    y, x = list(zip(sizes, units, strict=True))[-2:]
    return _Described(image.array, (y, x), f"the data set of quantem given as {name}")


def _of_emdfile(image: Any, name: str) -> _Described | None:
    """`Array` of emdfile, as real slices and virtual images of py4DSTEM are.

    Where their dimensions count pixels, the calibration of the data set that they belong to holds.
    """
    if not all(hasattr(image, each) for each in ("data", "dims", "dim_units")):
        return None
    every = list(zip(image.dims, image.dim_units, strict=False))
    if len(every) < 2:
        return None
    y, x = ((_spacing(np.asarray(dim)), unit) for dim, unit in every[-2:])
    title = f"the array of py4DSTEM given as {name}"
    if _is_uncalibrated(y) and _is_uncalibrated(x):
        y = x = _of_calibration(image) or y
    return _Described(image.data, (y, x), title)


def _of_calibration(image: Any) -> Step | None:
    """Pixel of py4DSTEM's calibration, in the space of the image; None where it has none."""
    space = "Q" if any("Diffraction" in each.__name__ for each in type(image).__mro__) else "R"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is none is no news
        found = getattr(image, "calibration", None)
        if found is None or not hasattr(found, f"get_{space}_pixel_size"):
            return None
        size = getattr(found, f"get_{space}_pixel_size")()
        return size, getattr(found, f"get_{space}_pixel_units")()


def _of_napari(image: Any, name: str) -> _Described | None:
    """Image layers of napari."""
    if not all(hasattr(image, each) for each in ("data", "scale", "units", "multiscale")):
        return None
    data = image.data[0] if image.multiscale else image.data
    steps = list(zip(image.scale, image.units or [None] * len(image.scale), strict=True))[-2:]
    title = f"the layer {getattr(image, 'name', '')!r} given as {name}"
    return _Described(data, (steps[0], steps[1]) if len(steps) == 2 else None, title)


def _of_list(image: Any, name: str) -> _Described | None:
    """Lists of such objects, as the frames of a stack."""
    if not isinstance(image, (list, tuple)) or not image or _described(image[0], name) is None:
        return None
    every = [_described(each, name) for each in image]
    steps = {str(None if each is None else each.steps) for each in every}
    if len(steps) > 1:
        raise ValueError(f"{name} has images of different calibrations: {' and '.join(steps)}")
    first = every[0]
    data = [each if found is None else found.data for each, found in zip(image, every, strict=True)]
    return None if first is None else _Described(data, first.steps, first.what)


def _of_mapping(image: Any, name: str) -> _Described | None:
    """Dictionaries of RosettaSciIO's readers and of ncempy."""
    if not isinstance(image, Mapping) or "data" not in image:
        return None
    title = f"the dictionary given as {name}"
    if "axes" in image:
        axes = sorted(image["axes"], key=lambda axis: axis.get("index_in_array") or 0)[-2:]
        steps = [(axis.get("scale"), axis.get("units")) for axis in axes]
    else:
        sizes = np.ravel(image.get("pixelSize", ())).tolist()[-2:]
        steps = list(zip(sizes, np.ravel(image.get("pixelUnit", ())).tolist()[-2:], strict=False))
    return _Described(image["data"], (steps[0], steps[1]) if len(steps) == 2 else None, title)


_KINDS: Iterable[Callable[[Any, str], _Described | None]] = (
    _of_file, _of_hyperspy, _of_nion, _of_xarray, _of_abtem, _of_quantem, _of_emdfile, _of_napari,
    _of_quantity, _of_mapping, _of_list,
)  # fmt: skip


def _step(axis: Any, scale: str) -> Step:
    """Step and unit of an axis object."""
    return getattr(axis, scale, None), getattr(axis, "units", None)


def _number(step: Any) -> float | None:
    parts = _quantity(step)
    try:
        return None if step is None else float(parts[0] if parts else step)
    except (TypeError, ValueError):
        return None


def _unit(unit: Any) -> str | None:
    """Name of a unit, which may be an object of pint; HyperSpy has a mark for none."""
    text = None if unit is None else str(unit)
    return None if text in (None, "", "<undefined>", "None") else text


def _is_uncalibrated(step: Step) -> bool:
    """Whether an axis counts pixels."""
    size, unit = _number(step[0]), _unit(step[1])
    return size in (None, 1.0) and (unit is None or dimension(unit) == "pixel")
