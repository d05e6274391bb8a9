"""Calibration: the size of a pixel from a line, a burnt-in bar or a known crystal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
