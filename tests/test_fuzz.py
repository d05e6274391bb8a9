"""Damaged files of all kinds; `python -m benchmarks robustness fuzz` tries thousands."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FORMATS = {
    "tif of this package": 5,
    "tif, tiles, deflate": 5,
    "png": 5,
    "npy": 5,
    "ser, series": 5,
    "dm3": 5,
    "dm4": 5,
    "mrc": 5,
    "HDF5, chunks, gzip": 5,
    "mat, StatSTEM": 5,
    "csv of this package": 5,
    "csv, decimal comma": 5,
    "hdf5, columns": 5,
    "weights": 5,
    "recipe of a training": 10,
    "workflow": 10,
}
"""Damaged files of each; the first numbers of the benchmark."""


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.robustness.fuzz")


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_by_name(fuzz: Any, tmp_path: Path) -> None:
    failures = []
    for place, (name, count) in enumerate(FORMATS.items()):
        for case in fuzz.cases(name, range(count), tmp_path / str(place), 0):
            found = fuzz.outcome(case.kind, case.path)
            if found not in (fuzz.READ, fuzz.REFUSED):
                failures.append(f"{name} {case.number} ({case.what}): {found}")
    assert not failures


def test_damage_is_the_same_each_time_and_of_every_kind(fuzz: Any, tmp_path: Path) -> None:
    first, second = (
        [
            (case.what, case.path.read_bytes())
            for case in fuzz.cases("npy", range(60), tmp_path / str(k), 3)
        ]
        for k in range(2)
    )
    assert first == second
    assert {what.rpartition(" ")[0] for what, _ in first} == set(fuzz._DAMAGES)


def test_a_matlab_file_that_would_end_the_program_is_refused(fuzz: Any, tmp_path: Path) -> None:
    """Its number of bytes is one bit too large, and scipy reads beyond the end of its memory."""
    (case,) = fuzz.cases("mat, image", range(3, 4), tmp_path / "a", 0)
    assert fuzz.outcome(case.kind, case.path) == fuzz.REFUSED
