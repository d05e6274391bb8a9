"""Measurements on columns and images: scores against a known truth."""

from napari_atomseg.analysis.matching import Scores, match, scores
from napari_atomseg.quality import psnr, ssim

__all__ = ["Scores", "match", "psnr", "scores", "ssim"]
