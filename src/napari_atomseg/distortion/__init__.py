"""Distortions of scan, detector and post-processing; each is one small function with its source.

The classes of all kinds are found in the modules of this package; `KINDS` has them by their names
in a recipe, and each is a name of the package too.
"""

from napari_atomseg.distortion.base import Distortion, View
from napari_atomseg.distortion.kinds import KINDS, AnyDistortion

globals().update({part.__name__: part for part in KINDS.values()})

__all__ = ["KINDS", "AnyDistortion", "Distortion", "View"]
