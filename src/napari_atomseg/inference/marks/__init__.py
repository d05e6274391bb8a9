"""Marks that programs left in images."""

from napari_atomseg.inference.marks.find import Marks, find_marks, share

__all__ = ["Marks", "find_marks", "share"]
