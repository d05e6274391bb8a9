"""The benchmark beside peers: what is planted is true, and answers are compared fairly."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> object:
    """Import a module of the benchmarks of measurements by its name."""
    monkeypatch.syspath_prepend(ROOT)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.measurements.{name}")

    return load


@pytest.fixture
def right(measurements) -> dict[str, np.ndarray]:
    """The answer without an error."""
    peers = measurements("peers")
    columns = peers.truth()[["y", "x"]].to_numpy()
    strain = np.column_stack([columns, peers.STRAIN * peers.step(columns[:, 1])])
    return {"columns": columns, "moved": peers.true_shifts(peers.truth()), "strain": strain}


def test_the_true_answer_has_no_error(measurements, right) -> None:
    row = measurements("peers").planted_row(right)
    found, there = row["found"].split(" of ")
    assert found == there
    assert row["false"] == 0
    assert row["position error, pm"] < 1e-9
    assert row["its error, pm"] < 1e-9
    assert row["strain error, %"] < 1e-9
    assert row["displacement, pm"] == pytest.approx(12.0, abs=0.1)


def test_missed_false_and_reversed_ones_are_seen(measurements, right) -> None:
    peers = measurements("peers")
    middle = np.linalg.norm(right["columns"] - peers.SIZE / 2, axis=1).argmin()
    wrong = np.delete(right["columns"], middle, axis=0)
    right["columns"] = np.concatenate([wrong, right["columns"][[middle]] + 9.0])
    right["moved"] = right["moved"] * [1, 1, -1, -1]
    row = peers.planted_row(right)
    found, there = row["found"].split(" of ")
    assert int(found) == int(there) - 1
    assert row["false"] == 1
    assert row["displacement, pm"] == pytest.approx(-12.0, abs=0.1)
    assert row["its error, pm"] == pytest.approx(24.0 / np.sqrt(2), abs=0.3)


def test_strain_planted_is_the_derivative_of_the_places(measurements) -> None:
    peers = measurements("peers")
    table = peers.truth()
    first = table[(table["kind"] == 0) & table["y"].between(250, 275)].sort_values("x")
    x = first["x"].to_numpy()
    # The cell is 40 px wide where it is not strained.
    steps = np.diff(x) / np.linalg.norm(peers.CELL[1]) - 1
    far = np.abs((x[1:] + x[:-1]) / 2 - peers.SIZE / 2) > 100
    expected = peers.STRAIN * peers.step((x[1:] + x[:-1]) / 2)
    np.testing.assert_allclose(steps[far], expected[far], atol=1e-4)


def test_a_peer_gets_the_scene_as_it_was_written(measurements, tmp_path: Path) -> None:
    Scene = measurements("recipes.scene").Scene
    whole = np.arange(2.0)
    scene = Scene("any", np.eye(3), 0.1, whole, whole, whole, whole, "a.cif", np.eye(3), "O", whole)
    scene.save(tmp_path / "any.npz")
    again = Scene.load(tmp_path / "any.npz")
    assert (again.name, again.sampling, again.light) == ("any", 0.1, "O")
    np.testing.assert_array_equal(again.image, scene.image)


def test_what_fails_is_told_and_the_rest_is_measured(
    measurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    peer, scene = measurements("peer"), measurements("recipes.scene")
    whole = np.arange(2.0)
    for name in ("bad", "good"):
        made = scene.Scene(
            name, np.eye(3), 0.1, whole, whole, whole, whole, "", np.eye(3), "", whole
        )
        made.save(tmp_path / f"{name}.npz")

    def measure(each: object) -> object:
        if each.name == "bad":
            raise ValueError("no columns")
        return scene.Answer(np.ones((5, 2)), 1.0, 2.0)

    monkeypatch.setattr(measurements("recipes.ours"), "measure", measure)
    peer.run(peer.argparse.Namespace(peer="ours", folder=tmp_path))
    assert "ours on bad: ValueError: no columns" in capsys.readouterr().out
    assert not (tmp_path / "ours" / "bad.npz").exists()
    with np.load(tmp_path / "ours" / "good.npz") as answer:
        assert answer["columns"].shape == (5, 2)
        assert answer["lines"] > 5


def test_halves_of_one_image_differ_by_their_errors_and_show_jitter(measurements) -> None:
    repeats, rng = measurements("repeats"), np.random.default_rng(5)
    axis = 10.0 + 20.0 * np.arange(10)
    pixels = np.arange(200.0)
    rows = np.exp(-((pixels[:, None] - axis) ** 2) / 32.0)
    jitter = {"still": np.zeros(200), "moved": rng.normal(0.0, 0.6, 200)}
    off, alike = {}, {}
    for name, shift in jitter.items():
        cols = np.exp(-((pixels[None, :, None] - shift[:, None, None] - axis) ** 2) / 32.0)
        clean = 20.0 + 200.0 * np.einsum("ri,rcj->rc", rows, cols)
        repeat = repeats.halves(rng.poisson(clean).astype(float), (0.1, 0.1))
        away, stated = repeat.off()
        off[name] = np.sqrt(np.nanmean((away / stated) ** 2, axis=0))
        alike[name] = repeats.alike(repeat, 1, True)
    np.testing.assert_allclose(off["still"], 1.0, atol=0.25)
    # All columns of a row stand on the same displaced lines.
    assert alike["moved"] > 0.5 > alike["still"] + 0.2
