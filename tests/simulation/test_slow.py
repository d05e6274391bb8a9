"""Recipes whose images abTEM forms: the specimens, settings and truth of the fast ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_atomseg.imaging import multislice
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.simulation import draw_scene, load_recipe, sample
from napari_atomseg.simulation.library.read import open_library, write_library
from napari_atomseg.simulation.slow import single_atoms

SHAPE = (32, 40)
PERIOD = 3.905
"""Å, of SrTiO3."""


def recipe(**imaging: Any) -> dict[str, Any]:
    return {
        "extends": "temimagenet",
        "field": {"fields_of_view": [8]},
        "specimen": {
            "kind": "crystal",
            "materials": [{"crystal": "SrTiO3", "zone_axis": [0, 0, 1]}],
            "thickness": [20.0, 40.0],
            "shapes": {"bulk": 1},
        },
        "imaging": imaging,
    }


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What abTEM's stand-in is asked for: it sees an image that depends on the seed alone."""
    calls: list[dict[str, Any]] = []

    def stand_in(structure: Any, field: Any, optics: Any, **options: Any) -> np.ndarray:
        calls.append({"structure": structure, "optics": optics, **options})
        return np.random.default_rng(options["seed"]).random(field.canvas).astype(np.float32)

    monkeypatch.setattr(multislice, "multislice_adf", stand_in)
    monkeypatch.setattr(multislice, "multislice_hrtem", stand_in)
    return calls


def test_the_specimen_the_settings_and_the_truth_are_those_of_the_fast_recipe() -> None:
    for index in range(4):
        fast = draw_scene(load_recipe("temimagenet"), 3, index, SHAPE)
        slow = draw_scene(load_recipe("temimagenet-multislice"), 3, index, SHAPE)
        np.testing.assert_array_equal(fast.labels.points, slow.labels.points)
        assert (fast.optics, fast.view) == (slow.optics, slow.view)
        np.testing.assert_equal(
            [each.values for each in fast.distortions], [each.values for each in slow.distortions]
        )
        assert fast.multislice is None
        assert slow.multislice is not None


@pytest.mark.parametrize("index", range(3))
def test_columns_are_made_of_the_atoms_that_they_count(index: int) -> None:
    scene = draw_scene(load_recipe("temimagenet"), 5, index, SHAPE)
    specimen = scene.specimen
    atoms = single_atoms(specimen)
    if specimen.atoms is None:
        return  # amorphous matter has atoms, and no columns
    columns = specimen.columns
    counts = np.zeros(columns.counts.shape)
    element = np.searchsorted(columns.numbers, atoms.number)
    np.add.at(counts, (atoms.column, element), 1.0)
    np.testing.assert_array_equal(counts, columns.counts)
    np.testing.assert_array_equal(atoms.y, columns.y[atoms.column])
    assert atoms.z.min() >= 0


def test_atoms_stand_at_the_heights_of_the_crystal() -> None:
    scene = draw_scene(load_recipe(recipe(kind="linear")), 0, 0, SHAPE)
    atoms = single_atoms(scene.specimen)
    strontium = atoms.select(atoms.number == 38)
    titanium = atoms.select(atoms.number == 22)
    heights = [np.unique(np.round((each.z + 0.1) % PERIOD, 6)) for each in (strontium, titanium)]
    assert [len(each) for each in heights] == [1, 1]
    # They alternate, half a period apart.
    apart = abs(float(heights[0][0] - heights[1][0]))
    assert min(apart, PERIOD - apart) == pytest.approx(0.5 * PERIOD, abs=1e-3)


@pytest.mark.parametrize("detector", [(0.0, 10.0), (11.0, 22.0), (60.0, 180.0)])
def test_abtem_is_asked_for_the_detector_and_the_probe(
    told: list[dict[str, Any]], detector: tuple[float, float]
) -> None:
    settings = {"frozen_phonons": 3, "temperature": 150.0, "slice_thickness": 1.5}
    slow = recipe(kind="linear", detector=detector, multislice=settings)
    sample(slow, 1, 7, SHAPE)
    (call,) = told
    assert call["detector"] == detector
    assert {name: call[name] for name in settings} == settings
    assert call["optics"] == draw_scene(load_recipe(slow), 7, 1, SHAPE).optics.probe


def test_hrtem_keeps_the_intensity_of_the_beam(told: list[dict[str, Any]]) -> None:
    made = sample(recipe(kind="hrtem", multislice={}) | {"background": None}, 0, 1, SHAPE)
    assert len(told) == 1
    # The stand-in's intensities are even between 0 and 1: nothing is scaled by the brightest.
    assert made.ideal.mean() == pytest.approx(0.5, abs=0.1)


def test_samples_repeat_and_differ(told: list[dict[str, Any]]) -> None:
    slow = recipe(kind="linear", multislice={})
    first, again, other = (sample(slow, index, 2, SHAPE) for index in (4, 4, 5))
    np.testing.assert_array_equal(first.image, again.image)
    assert len({call["seed"] for call in told}) == 2
    assert not np.array_equal(first.ideal, other.ideal)


def test_specimens_without_atoms_are_refused(told: list[dict[str, Any]]) -> None:
    slow = {"extends": "columns", "imaging": {"multislice": {}}}
    with pytest.raises(ValueError, match="single atoms"):
        sample(slow, 0, 0, SHAPE)
    assert not told


def test_an_interrupted_library_keeps_every_finished_sample(
    told: list[dict[str, Any]], tmp_path: Path
) -> None:
    slow = recipe(kind="linear", multislice={})
    whole = write_library(tmp_path / "whole", slow, 4, shape=SHAPE)
    told.clear()
    token = CancelToken()

    def stop(done: int, _total: int, _message: str) -> None:
        if done == 2:  # noticed after the third
            token.cancel()

    out = tmp_path / "library"
    with pytest.raises(Cancelled):
        write_library(out, slow, 4, shape=SHAPE, progress=stop, cancel=token)
    assert len(told) == 3
    write_library(out, slow, 4, shape=SHAPE)
    assert len(told) == 4
    for name in ("SHA256SUMS", "index.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not list((out / ".blocks").rglob("*.npz"))
    assert len(open_library(out, verify=True)) == 4


def test_a_damaged_sample_is_made_again(told: list[dict[str, Any]], tmp_path: Path) -> None:
    from napari_atomseg.simulation.library.kept import read_kept

    (tmp_path / "00000.npz").write_bytes(b"not a sample")
    assert read_kept(tmp_path / "00000.npz") is None
    assert read_kept(tmp_path / "00001.npz") is None


@pytest.mark.slow
def test_multislice_looks_like_the_fast_image_of_a_thin_crystal() -> None:
    pytest.importorskip("abtem", reason="needs the extra 'multislice'")
    thin = {
        "specimen": {
            "kind": "crystal",
            "materials": [{"crystal": "graphene", "zone_axis": [0, 0, 1]}],
            "shapes": {"bulk": 1},
        },
        "background": None,
        "distortions": [],
        "imaging": {"kind": "linear", "detector": [40, 90]},
    }
    fast = recipe() | thin
    slow = fast | {"imaging": {**thin["imaging"], "multislice": {"frozen_phonons": 0}}}
    images = [sample(each, 0, 1, (24, 24)).ideal.ravel() for each in (fast, slow)]
    assert np.corrcoef(*images)[0, 1] > 0.98
