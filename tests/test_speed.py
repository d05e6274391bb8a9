"""What must not slow down, by ratio to a peer in the same run: seconds differ with the machine."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_atomseg as atomseg
from napari_atomseg.localization.fit.independent import fit_gaussians

pytestmark = pytest.mark.slow

LATE = ["scipy.stats", "scipy.signal", "scipy.interpolate", "zarr", "requests", "matplotlib"]
LATE += ["dask.array", "ase", "torch._dynamo", "torch.onnx", "napari", "qtpy"]
"""Modules that no first result needs."""
MOST_MODULES = 2_500
LONGEST = 5.0
"""Time of `localize` over that of the network's maps, at most, where it finds all columns: 3.9 when
this was written."""
LEAST_GAIN = 1.5
"""Time of `curve_fit` over that of a column's whole measurement, at least: 2.5 to 4.3."""


@pytest.fixture
def speed(monkeypatch):
    """Import a benchmark of speed by its name."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    return lambda name: importlib.import_module(f"benchmarks.speed.{name}")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_first_result_imports_no_more_than_it_needs(tmp_path):
    code = "import json, sys, numpy, napari_atomseg as a\nimport napari_atomseg.io\n"
    code += "a.localize(numpy.random.default_rng(0).normal(size=(64, 64)))\n"
    code += "print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert not set(LATE) & set(loaded)
    assert len(loaded) < MOST_MODULES


def test_localizing_takes_a_few_times_as_long_as_the_network(speed):
    localizing = speed("localizing")
    image = localizing.lattice_image(512, 0.0)
    atomseg.localize(image[:128, :128])
    network, _ = localizing.least(lambda: localizing.network_alone(image), 2)
    whole, count = localizing.least(lambda: atomseg.localize(image), 2)
    assert count > 500
    assert whole < LONGEST * network


@pytest.mark.parametrize(("height", "at_rest"), [(20.0, 1.0), (1.0, 0.9)])
def test_a_column_is_measured_sooner_than_scipy_fits_one_gaussian(height, at_rest, speed):
    fitting = speed("fitting")
    image, y, x = fitting.scene(400, height, np.random.default_rng(0))
    peer, begin = fitting.by_scipy(image, y, x), time.process_time()
    fits = fit_gaussians(torch.from_numpy(image), y, x)
    one = (time.process_time() - begin) / len(y)
    assert fits.converged.mean() >= at_rest
    assert peer > LEAST_GAIN * one
