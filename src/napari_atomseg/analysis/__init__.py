"""Measurements on columns and images: scores against a known truth."""

from napari_atomseg.analysis.images import psnr, ssim
from napari_atomseg.analysis.matching import Scores, match, scores

__all__ = ["Scores", "match", "psnr", "scores", "ssim"]
