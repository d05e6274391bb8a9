"""Every kind of specimen that a recipe may name, found in the modules of this package."""

from typing import TYPE_CHECKING, Annotated, Union, cast

from pydantic import Field

from napari_atomseg.ranges import parts_by_kind
from napari_atomseg.specimen.specimen import SpecimenRecipe

SPECIMENS = cast(
    "dict[str, type[SpecimenRecipe]]", parts_by_kind("napari_atomseg.specimen.recipes")
)
"""The class of each kind, by its name in a recipe."""
if TYPE_CHECKING:
    AnySpecimen = SpecimenRecipe
else:
    AnySpecimen = Annotated[Union[*SPECIMENS.values()], Field(discriminator="kind")]
    """A specimen of a recipe, told by its `kind`."""
