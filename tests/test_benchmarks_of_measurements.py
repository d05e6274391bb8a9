"""The benchmark beside peers: what is planted is true, and answers are compared fairly."""

from __future__ import annotations

import dataclasses
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
    cost = {"a": 40.0, "b": 40.3, "seconds": 2.0, "lines": 20}
    return measurements("peers").planted_answer() | cost


@pytest.fixture
def scene(measurements) -> object:
    """The planted crystal, without its image."""
    peers = measurements("peers")
    numbers = np.zeros(2)
    sides = np.array([40.0, 0.0]), np.array([0.0, 40.0])
    image = np.zeros((peers.SIZE, peers.SIZE))
    half = np.array([0.5, 0.5])
    return measurements("recipes.scene").Scene(
        "planted", image, 0.1, numbers, *sides, half, "", np.eye(3), "", numbers
    )


def test_the_true_answer_has_no_error(measurements, scene, right) -> None:
    peers = measurements("peers")
    cells = peers.row(scene, right, peers.planted_answer())
    found, there = cells["columns"].split(" of ")
    assert found == there
    assert cells["false"] == "0"
    assert float(cells["columns off, pm"]) == 0
    assert float(cells["displacement off, pm"]) == 0
    assert float(cells["strain off, %"]) == 0
    assert cells["displacement, pm"].startswith("12.0 ± ")
    assert cells["strain, %"].startswith("1.5")
    assert list(cells) == list(peers.COLUMNS)


def test_missed_false_and_reversed_ones_are_seen(measurements, scene, right) -> None:
    peers = measurements("peers")
    middle = np.linalg.norm(right["columns"] - peers.SIZE / 2, axis=1).argmin()
    wrong = np.delete(right["columns"], middle, axis=0)
    right["columns"] = np.concatenate([wrong, right["columns"][[middle]] + 9.0])
    right["moved"] = right["moved"] * [1, 1, -1, -1]
    cells = peers.row(scene, right, peers.planted_answer())
    found, there = cells["columns"].split(" of ")
    assert int(found) == int(there) - 1
    assert cells["false"] == "1"
    assert cells["displacement, pm"].startswith("-12.0 ± ")
    assert float(cells["displacement off, pm"]) == pytest.approx(24.0 / np.sqrt(2), abs=0.3)


def test_what_all_share_is_off_on_planted_crystals(measurements, scene, right) -> None:
    peers = measurements("peers")
    right["strain"] = right["strain"] + [0, 0, 0.01]
    cells = peers.row(scene, right, peers.planted_answer())
    assert float(cells["strain off, %"]) == pytest.approx(1.0, abs=1e-3)


def test_what_a_package_does_not_measure_is_said(measurements, scene, right) -> None:
    peers = measurements("peers")
    nothing = {"columns": np.zeros((0, 2)), "moved": np.zeros((0, 4)), "strain": np.zeros((0, 3))}
    cells = peers.row(scene, right | nothing, peers.planted_answer())
    assert [cells[name] for name in peers.ASKED] == [peers.DOES_NOT] * 3
    assert cells["strain off, %"] == ""
    assert cells["a, Å"] == "4.000"


def test_ours_is_not_compared_with_itself(measurements, scene, right) -> None:
    peers = measurements("peers")
    cells = peers.row(dataclasses.replace(scene, name="pto"), right, None)
    assert cells["columns off, pm"] == ""
    assert cells["columns"] == str(len(right["columns"]))


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
            raise ValueError("no columns\nat all")
        return scene.Answer(np.ones((5, 2)), 1.0, 2.0)

    monkeypatch.setattr(measurements("recipes.ours"), "measure", measure)
    peer.run(peer.argparse.Namespace(peer="ours", folder=tmp_path))
    assert "ours on bad: ValueError: no columns" in capsys.readouterr().out
    assert not (tmp_path / "ours" / "bad.npz").exists()
    failure = (tmp_path / "ours" / "bad.error").read_text(encoding="utf-8")
    assert failure == "ValueError: no columns"
    with np.load(tmp_path / "ours" / "good.npz") as answer:
        assert answer["columns"].shape == (5, 2)
        assert answer["lines"] > 5
        assert answer["version"]


def test_lines_are_those_that_a_user_writes(measurements) -> None:
    peer = measurements("peer")
    # Helpers of another recipe count where they are called; clicks are no lines.
    assert {"measure", "dumbbell_lattice", "side", "refine"} <= set(peer.script("temul"))
    assert "sublattices" not in peer.script("temul")
    assert "click" not in peer.script("singleorigin")
    assert peer.lines("quantem") < peer.lines("ours") < peer.lines("atomap")


def test_spots_are_where_the_pattern_has_them(measurements) -> None:
    Scene = measurements("recipes.scene").Scene
    y, x = np.mgrid[:120, :90]
    image = np.cos(2 * np.pi * x / 15) + np.cos(2 * np.pi * y / 20)
    sides = np.array([20.0, 0.0]), np.array([0.0, 15.0])
    none = np.zeros(2)
    scene = Scene("any", image, 0.1, none, *sides, none, "", np.eye(3), "", none)
    pattern = np.abs(np.fft.fftshift(np.fft.fft2(image)))
    for spot in scene.spots((1, 0), (0, 1)).round().astype(int):
        assert pattern[tuple(spot)] > 0.4 * image.size


def test_strain_is_against_the_rest(measurements) -> None:
    recipes = measurements("recipes.scene")
    nothing = np.zeros(2)
    rest = np.array([0.0, 10.0])
    scene = recipes.Scene("any", np.eye(30), 0.1, *[nothing] * 4, "", np.eye(3), "", rest)
    y, x = np.full(3, 5.0), np.array([2.0, 8.0, 20.0])
    strain = recipes.relative(scene, y, x, np.array([4.0, 4.0, 4.2]))
    np.testing.assert_allclose(strain[:, 2], [0, 0, 0.05])
    ramp = np.tile(np.where(np.arange(30) > 10, 0.05, 0.01), (30, 1))
    sampled = recipes.sampled(scene, ramp, np.array([[5.0, 2.0], [5.0, 20.0], [5.0, 40.0]]))
    # A place outside of the map has no strain.
    np.testing.assert_allclose(sampled[:, 2], [0, 1.05 / 1.01 - 1])


@pytest.mark.slow
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
