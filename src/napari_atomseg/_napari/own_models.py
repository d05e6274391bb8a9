"""The models of the user's own, as the Train panel lists them."""

from __future__ import annotations

from napari_atomseg._napari.widgets.models import Models


class OwnModels(Models):
    """The Models panel without the published models."""

    only_own = True
    none = "No models of your own yet: train one, or import a file."
