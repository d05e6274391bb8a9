"""The comparisons with peers: their environments, and what stands in for a user's recipe."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def load(root: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(root)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_an_environment_is_made_once_and_anew_for_another_version(
    load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments: ModuleType = load("peers.environments")
    ran: list[tuple[str, ...]] = []

    def run(*words: str) -> None:
        ran.append(words)
        (tmp_path / "environments" / "one").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "_run", run)
    monkeypatch.setitem(environments.PEERS, "one", environments.Peer("one==1", ("other<2",)))
    python = environments.installed("one", tmp_path)
    assert python == tmp_path / "environments" / "one" / "bin" / "python"
    assert [words[-2:] for words in ran if "install" in words][-1] == ("one==1", "other<2")
    count = len(ran)
    assert environments.installed("one", tmp_path) == python
    assert len(ran) == count
    monkeypatch.setitem(environments.PEERS, "one", environments.Peer("one==2"))
    environments.installed("one", tmp_path)
    assert ran[-1][-1] == "one==2"


def test_a_peer_that_cannot_be_installed_is_said_and_left_out(
    load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    environments: ModuleType = load("peers.environments")

    def run(*words: str) -> None:
        raise subprocess.CalledProcessError(1, words, stderr="no such version")

    monkeypatch.setattr(environments, "_run", run)
    assert environments.pythons(("trackpy", "scipy"), tmp_path) == {"scipy": Path(sys.executable)}
    assert "trackpy is left out: no such version" in capsys.readouterr().err


def test_every_peer_of_the_columns_has_a_recipe_and_a_version(load: object) -> None:
    environments: ModuleType = load("peers.environments")
    for name in load("peers.columns").NAMES:
        recipe = load(f"measurements.recipes.{name}")
        assert name in environments.HERE or "==" in environments.PEERS[name].package
        assert name in environments.HERE or recipe.PACKAGE.lower().replace("-", "_") in (
            environments.PEERS[name].package.lower().replace("-", "_")
        )


@pytest.mark.parametrize("mean", [2.0, 10.0, 100.0])
def test_counts_come_back_from_the_anscombe_transform_without_bias(
    load: object, mean: float
) -> None:
    denoise: ModuleType = load("peers.denoise")
    counts = np.random.default_rng(0).poisson(mean, 400_000).astype(float)
    values = denoise.even(counts)
    assert np.var(values) == pytest.approx(1.0, abs=0.08)
    # A perfect filter leaves the mean of the transformed counts.
    assert denoise.counted(np.mean(values)) == pytest.approx(mean, rel=0.01)


def test_scipy_alone_finds_the_columns_of_a_quiet_crystal(load: object, tmp_path: Path) -> None:
    planted = np.stack(np.meshgrid([20.3, 60.1, 99.8], [19.7, 60.4, 100.2]), axis=-1).reshape(-1, 2)
    grid = np.arange(120.0)
    rows, cols = (np.exp(-((grid[:, None] - planted[:, k]) ** 2) / 50) for k in (0, 1))
    image = np.random.default_rng(0).poisson(500 * rows @ cols.T + 50).astype(float)
    u, v, half = np.array([40.0, 0.0]), np.array([0.0, 40.0]), np.array([1.0, 0.0])
    zone, rest = np.eye(3), np.array([0.0, 120.0])
    scene = load("measurements.recipes.scene").Scene(
        "one", image, 0.1, planted[4], u, v, half, "", zone, "", rest
    )
    found = load("measurements.recipes.scipy").measure(scene).columns
    away = np.linalg.norm(found[:, None] - planted, axis=2)
    assert away.min(axis=0).max() < 0.1
    assert away.min(axis=1).max() < 0.1


def test_the_seconds_of_a_pair_are_those_of_its_last_merging(load: object, tmp_path: Path) -> None:
    orthogonal: ModuleType = load("restoration.orthogonal")
    path = tmp_path / orthogonal.RESULTS / "seconds.csv"
    path.parent.mkdir()
    path.write_text("pt@400,176,176,8.1\nsi@400,176,176,7.0\npt@400,176,176,6.2\n")
    assert orthogonal.seconds(tmp_path) == {"pt@400": 6.2, "si@400": 7.0}


def test_the_best_setting_of_a_filter_removes_noise(load: object) -> None:
    denoise: ModuleType = load("peers.denoise")
    wave = 30.0 + 25.0 * np.cos(np.arange(64) / 4.0)
    truth = np.outer(wave, wave) / 30.0
    counts = np.random.default_rng(0).poisson(truth).astype(float)
    for jobs in denoise.TUNED.values():
        errors = [np.abs(denoise.timed(job, counts)[0] - truth).mean() for job in jobs]
        assert min(errors) < np.abs(counts - truth).mean()
