"""Distortions of scan, detector and post-processing; each is one small function with its source.

The classes of all kinds are found in the modules of this package: `KINDS` has them by their names
in a recipe, and each is a name of the package too.
"""

from typing import TYPE_CHECKING, Annotated, Union, cast

from pydantic import Field

from napari_atomseg.distortion.base import Distortion, View
from napari_atomseg.ranges import parts_by_kind

KINDS = cast("dict[str, type[Distortion]]", parts_by_kind("napari_atomseg.distortion"))
"""The class of each kind, by its name in a recipe."""
if TYPE_CHECKING:
    AnyDistortion = Distortion
else:
    AnyDistortion = Annotated[Union[*KINDS.values()], Field(discriminator="kind")]
    """A distortion of a recipe, told by its `kind`."""

globals().update({part.__name__: part for part in KINDS.values()})

__all__ = ["KINDS", "AnyDistortion", "Distortion", "View"]
