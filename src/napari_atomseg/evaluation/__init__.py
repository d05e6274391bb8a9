"""Evaluation: models × data sets × baselines → one table and figures."""

from napari_atomseg.evaluation.case import Case, Dataset, Mapper, Method, Outcome
from napari_atomseg.evaluation.measure import coverage, expected_calibration_error, reliability
from napari_atomseg.evaluation.methods import BASELINES
from napari_atomseg.evaluation.run import evaluate

__all__ = [
    "BASELINES",
    "Case",
    "Dataset",
    "Mapper",
    "Method",
    "Outcome",
    "coverage",
    "evaluate",
    "expected_calibration_error",
    "reliability",
]
