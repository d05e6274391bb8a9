"""What is set in the Columns panel."""

from __future__ import annotations

from dataclasses import dataclass

from napari_atomseg._napari.forms.form import option

REFINEMENTS = (
    ("Gaussian fit", "gaussian"),
    ("elliptic fit", "elliptic"),
    ("rotated elliptic fit", "rotated"),
    ("joint fit", "joint"),
    ("centre of mass", "centre_of_mass"),
    ("centroid", "centroid"),
)
"""How columns can be measured, as `localize` names it."""


@dataclass(frozen=True)
class ColumnsSettings:
    """Settings of the Columns panel."""

    colour_by: str = option("", "Colour by", "The measurement that colours the points")
    refine: str = option(
        "",
        "Refit by",
        "How columns that were added or dragged are measured again on the image",
        choices=[("as the others were", ""), *REFINEMENTS],
    )
