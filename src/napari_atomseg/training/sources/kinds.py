"""All kinds of sources."""

from __future__ import annotations

from napari_atomseg.training.sources.simulated import Simulated

AnySource = Simulated
"""A source of a recipe, told by its `kind`."""
