"""Freed memory is kept where that is asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, numpy as np
from napari_atomseg._shared.kept_memory import keep_freed_memory
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(2**17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages())
keep_freed_memory()
np.ones(2**17)
print(pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts pages as Linux does")
def test_pages_are_not_cleared_anew_for_every_array() -> None:
    """Not on workers of dask, either, which ask the C library to give memory back."""
    worker = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=worker).stdout
    given_back, kept = map(int, said.split())
    assert given_back > 10 * 200  # 1 MB in pages of 4 kB
    assert kept < 200
