"""Common ground of the losses: registration, full precision, means over images and windows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

import torch
from pydantic import Field, create_model
from torch import Tensor

from napari_atomseg.ranges import Part

Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Takes = Literal["values", "logits", "noise", "shifts"]
"""The prediction of a loss: intensities or probabilities; logits of probabilities, intensities
beside the noise of the image, or displacements of lines, each of which is then its only use."""


class Loss(Part):
    """One term of a sum of losses; the decorator `loss` makes a subclass for each function.

    Attributes
    ----------
    kind : the tag that names it in a recipe.
    weight : factor in a sum of losses.
    label : a few words for forms and tables.
    takes : kind of prediction it is computed from, see `Takes`.
    """

    kind: str
    weight: Weight = 1.0
    label: ClassVar[str]
    takes: ClassVar[Takes]
    function: ClassVar[Callable[..., Tensor]]

    def value(self, prediction: Tensor, target: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss before its weight.

        Parameters
        ----------
        prediction, target : (B, C, H, W) in any floating type.
        noise : (B, 1, H, W), the image minus the noise-free truth; only losses that take it use it.

        Returns
        -------
        Scalar in float32.
        """
        settings = self.model_dump(exclude={"kind", "weight"})
        if self.takes == "noise":
            settings["noise"] = noise
        return type(self).function(prediction, target, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Its class is made, not written, and has no place from which it could be imported."""
        return _restored, (self.model_dump(),)


KINDS: dict[str, type[Loss]] = {}
"""The registered losses, by the names that they have in a recipe."""
Function = TypeVar("Function", bound=Callable[..., Tensor])


def loss(
    kind: str, label: str, *, weight: float = 1.0, takes: Takes = "values"
) -> Callable[[Function], Function]:
    """Register a function of prediction and target as a kind of loss that recipes may name.

    Its arguments with a default become the settings of the loss in a recipe, with the same names,
    defaults and accepted values.

    Parameters
    ----------
    kind : name in a recipe.
    label : a few words for forms and tables.
    weight : in a recipe that gives none.
    takes : kind of prediction that the function takes, see `Takes`.
    """

    def register(function: Function) -> Function:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {"kind": (Literal[kind], kind), "weight": (Weight, weight)}
        fields |= {
            name: (hints[name], argument.default)
            for name, argument in inspect.signature(function).parameters.items()
            if argument.default is not inspect.Parameter.empty
        }
        made = create_model(
            function.__name__.title().replace("_", ""),
            __base__=Loss,
            __module__=function.__module__,
            __doc__=function.__doc__,
            **fields,
        )
        made.label, made.takes, made.function = label, takes, function
        KINDS[kind] = made
        return function

    return register


def _restored(content: dict[str, Any]) -> Loss:
    return KINDS[content["kind"]].model_validate(content)


IMAGE = (-2, -1)
"""Rows and columns: the dimensions of one image of one channel."""


def full_precision(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Prediction and target in float32, whatever the network computes in.

    Sums of many small numbers, variances and powers are lost in half precision. Double
    precision stays double.

    Raises
    ------
    ValueError
        The two differ in shape, or are no images.
    """
    if prediction.shape != target.shape or prediction.ndim < 3 or not prediction.numel():
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must be "
            "images of one shape (B, C, H, W)"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    return prediction.to(dtype), target.to(dtype)


def deviation(image: Tensor, least: float = 1e-6) -> Tensor:
    """Standard deviation of each image and channel, (..., 1, 1), or `least` where it is smaller.

    Being clamped as a variance, its gradient is finite for constant images, too.
    """
    variance = image.var(dim=IMAGE, correction=0, keepdim=True)
    return variance.clamp_min(least**2).sqrt()


def _band(length: int, kernel: Tensor) -> Tensor:
    """(length, length) matrix whose rows average over a window, cropped where the image ends."""
    at = torch.arange(length, device=kernel.device)
    offset = at[None, :] - at[:, None] + len(kernel) // 2
    inside = (offset >= 0) & (offset < len(kernel))
    band = torch.where(inside, kernel[offset.clamp(0, len(kernel) - 1)], 0.0)
    return band / band.sum(dim=1, keepdim=True)


def local_mean(image: Tensor, kernel: Tensor) -> Tensor:
    """Weighted mean over the window around each pixel, of the part of it within the image.

    Two products with a matrix are faster than convolution or pooling on processors, for any
    window, and are exact on accelerators that would convolve in less than float32.

    Parameters
    ----------
    image : (..., H, W) of any size.
    kernel : (S,) weights along rows and along columns. An even window reaches S/2 pixels back
        and S/2 - 1 pixels forward.

    Returns
    -------
    (..., H, W).
    """
    kernel = kernel.to(image)
    rows, columns = _band(image.shape[-2], kernel), _band(image.shape[-1], kernel)
    with torch.autocast(image.device.type, enabled=False):
        return rows @ image @ columns.T
