"""Every kind of distortion that a recipe may name, found in the modules of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union, cast

from pydantic import Field

from napari_atomseg.distortion.base import Distortion
from napari_atomseg.ranges import parts_by_kind

KINDS = cast("dict[str, type[Distortion]]", parts_by_kind("napari_atomseg.distortion"))
"""The class of each kind, by its name in a recipe."""
if TYPE_CHECKING:
    AnyDistortion = Distortion
else:
    AnyDistortion = Annotated[Union[*KINDS.values()], Field(discriminator="kind")]
    """A distortion of a recipe, told by its `kind`."""
