"""The main job, end to end: an image restored, segmented and localized, and shown."""

from napari_atomseg.demo.job import DemoResult, run_demo
from napari_atomseg.demo.window import show

__all__ = ["DemoResult", "run_demo", "show"]
