"""Trust: whether the raw counts bear out what a network made of them."""

from napari_atomseg.trust.consistency import Consistency, consistency
from napari_atomseg.trust.noise import NoiseModel

__all__ = ["Consistency", "NoiseModel", "consistency"]
