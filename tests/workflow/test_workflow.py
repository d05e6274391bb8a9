"""Workflows: the same as the calls they stand for, checked before, read and written."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import napari_atomseg as atomseg
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image, write_image
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.simulation import Simulation
from napari_atomseg.workflow import (
    ACTIONS,
    Workflow,
    WorkflowError,
    as_commands,
    as_python,
    in_words,
    run,
    run_files,
)
from napari_atomseg.workflow.images import ImageFile

PEAKS = {"detector": "peaks", "sensitivity": 0.0}
SAMPLING = 0.15
BOMB = "\n".join(
    ["a0: &a0 [x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    + ["steps: *a8"]
)
LOCALIZED = {"name": "columns", "action": "localize", "settings": PEAKS}
STRAIN = {
    "name": "strain",
    "action": "measure strain",
    "of": "columns",
    "settings": {"radius": 20.0},
}


@pytest.fixture(scope="module")
def scene() -> Simulation:
    return atomseg.simulate("SrTiO3", shape=(128, 128), sampling=SAMPLING, seed=4)


@pytest.fixture(scope="module")
def whole() -> Workflow:
    """A step of every kind."""
    return Workflow.of(
        [
            {"name": "denoised", "action": "restore"},
            {"name": "labels", "action": "segment", "settings": {"sensitivity": 0.0}},
            LOCALIZED,
            {"name": "lattice", "action": "measure lattice", "of": "columns"},
            {**STRAIN, "of": "lattice"},
            {"name": "phase", "action": "measure gpa", "of": "denoised"},
        ]
    )


@pytest.mark.slow
def test_results_are_those_of_the_functions(scene: Simulation, whole: Workflow) -> None:
    found = run(whole, scene.image, sampling=SAMPLING)
    restored = atomseg.restore(scene.image, sampling=SAMPLING)
    np.testing.assert_array_equal(found["denoised"], restored)
    columns = atomseg.localize(scene.image, sampling=SAMPLING, **PEAKS)
    pd.testing.assert_frame_equal(found["columns"], columns)
    lattice = atomseg.measurements.lattice(columns, sampling=SAMPLING)
    assert found["lattice"].lines == lattice.lines
    strain = atomseg.measurements.strain(
        lattice.columns, scene.image, sampling=SAMPLING, radius=20.0
    )
    pd.testing.assert_frame_equal(found["strain"].columns, strain.columns)
    assert found["phase"].lines == atomseg.measurements.gpa(image=restored, sampling=SAMPLING).lines


@pytest.mark.slow
def test_a_script_and_commands_do_the_same(
    scene: Simulation, whole: Workflow, tmp_path: Path
) -> None:
    path = tmp_path / "survey one.tif"
    write_image(path, scene.image, SAMPLING)
    found = run(whole, read_image(path).data, sampling=SAMPLING)
    names: dict[str, Any] = {}
    exec(as_python(whole, path), names)  # noqa: S102 - the script is ours
    pd.testing.assert_frame_equal(names["strain"].columns, found["strain"].columns)
    np.testing.assert_array_equal(names["labels"], found["labels"])
    for command in as_commands(whole, path):
        program, *words = shlex.split(command)
        assert program == "napari-atomseg"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    strain = read_columns(tmp_path / "survey one-strain.csv")
    np.testing.assert_allclose(strain["eps_xx"], found["strain"].columns["eps_xx"], atol=1e-9)
    restored = read_image(tmp_path / "survey one-denoised.tif")
    np.testing.assert_array_equal(restored.data, found["denoised"])


def test_a_workflow_comes_back_from_its_file_as_it_was(whole: Workflow, tmp_path: Path) -> None:
    """With every setting, so that other defaults of a later version change nothing."""
    whole.save(tmp_path / "w.yaml")
    back = Workflow.load(tmp_path / "w.yaml")
    assert back.yaml() == whole.yaml()
    assert back.steps[2].settings["refine"] == "gaussian"


def test_words_of_yaml_1_2_are_words(tmp_path: Path) -> None:
    """Older YAML takes on, off, yes and no for truth values."""
    text = "steps:\n- name: c\n  action: localize\n  settings: {on: raw, edge: keep}\n"
    (tmp_path / "w.yaml").write_text(text)
    assert Workflow.load(tmp_path / "w.yaml").steps[0].settings["on"] == "raw"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: []", "steps"),
        ("[1, 2]", "'steps'"),
        ("steps: [{name: a, action: restor}]", "step 1 (a): .*choose one of restore"),
        ("steps: [{name: a, action: localize, settings: {refin: x}}]", "step 1 (a): refin"),
        ("steps: [{name: a, action: localize, settings: {refine: x}}]", "refine='x'"),
        ("steps: [{name: a, action: measure strain}]", "takes columns, but 'image' is image"),
        ("steps: [{name: a, action: measure strain, of: b}]", "'b': no step before"),
        ("steps: [{name: a, action: restore}, {name: a, action: scan}]", "two results"),
        ("steps: [{name: image, action: restore}]", "two results are called 'image'"),
        ("steps: [{name: a, action: restore, of: a}]", "no step before"),
        (BOMB, "more than 100000 values"),
        ("steps: [", "not a YAML file"),
        ("steps: [{name: a, action: scan, region: [[[0, 0], [1, 1]]]}]", "a region limits"),
        ("stepz: []", "stepz"),
        ("- " * 100_000, "not a YAML file"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_step(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(WorkflowError, match=told.replace("(", r"\(").replace(")", r"\)")) as raised:
        Workflow.load(path)
    assert str(raised.value).startswith(str(path))


def test_a_step_that_cannot_be_applied_is_named(scene: Simulation) -> None:
    steps = Workflow.of([LOCALIZED, {**STRAIN, "settings": {"use": "species=Xx"}}])
    with pytest.raises(ValueError, match=r"^strain: "):
        run(steps, scene.image)


def test_other_weights_are_told(scene: Simulation) -> None:
    step = {"name": "d", "action": "restore", "model": "stem-hr", "sha256": "0" * 64}
    (note,) = run(Workflow.of([step]), scene.image[:64, :64]).notes
    assert "other weights" in note
    assert "00000000" in note


def test_every_action_is_told_in_words() -> None:
    for name, action in ACTIONS.items():
        before = [] if action.takes == "image" else [LOCALIZED]
        of = "columns" if before else "image"
        step = Workflow.of([*before, {"name": "x", "action": name, "of": of}]).steps[-1]
        assert repr(of) in in_words(step)


@pytest.fixture
def folder(scene: Simulation, tmp_path: Path) -> Path:
    """Four images, one of which is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        write_image(folder / f"{number}.tif", scene.image[number:], SAMPLING)
    (folder / "bad.tif").write_bytes(b"II*\0nothing")
    return folder


@pytest.mark.slow
def test_a_bad_file_costs_itself_alone(folder: Path, tmp_path: Path) -> None:
    steps, output = Workflow.of([LOCALIZED]), tmp_path / "out"
    found = run_files(steps, sorted(folder.iterdir()), output)
    assert [each.status for each in found] == ["done"] * 3 + ["failed"]
    assert "bad.tif" in found[-1].reason
    table = pd.read_csv(output / "results.csv")
    assert list(table["status"]) == [each.status for each in found]
    assert list(table["columns"][:3]) == [each.columns for each in found[:3]]
    assert read_columns(output / "1" / "columns.csv").attrs["sampling"] == SAMPLING


@pytest.mark.slow
def test_a_second_run_does_only_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, output, worked = Workflow.of([LOCALIZED]), tmp_path / "out", []
    files = sorted(folder.iterdir())
    with pytest.raises(Cancelled):
        run_files(
            steps, files, output, cancel=(token := CancelToken()), done=lambda _: token.cancel()
        )
    real = ImageFile.read
    monkeypatch.setattr(
        ImageFile, "read", lambda file: (worked.append(file.path.name), real(file))[1]
    )
    first = run_files(steps, files, output)
    assert worked == ["1.tif", "2.tif", "bad.tif"]
    worked.clear()
    (output / "1" / "columns.csv").unlink()
    assert run_files(steps, files, output)[:3] == first[:3]
    assert worked == ["1.tif", "bad.tif"]
    worked.clear()
    run_files(Workflow.of([{**LOCALIZED, "settings": PEAKS | {"refine": "none"}}]), files, output)
    assert len(worked) == len(files)


@pytest.mark.slow
def test_images_of_one_name_have_folders_of_their_own(scene: Simulation, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        write_image(tmp_path / place / "one.tif", scene.image, SAMPLING)
    files = [tmp_path / place / "one.tif" for place in "ab"]
    found = run_files(Workflow.of([LOCALIZED]), files, tmp_path / "out")
    assert [each.status for each in found] == ["done", "done"]
    assert len(list((tmp_path / "out").glob("*/columns.csv"))) == 2
    with pytest.raises(ValueError, match="given twice"):
        run_files(Workflow.of([LOCALIZED]), [files[0], files[0]], tmp_path / "out")


@pytest.mark.slow
def test_the_command_gives_the_bytes_of_the_function(folder: Path, tmp_path: Path) -> None:
    steps = Workflow.of([{"name": "denoised", "action": "restore"}, LOCALIZED])
    steps.save(tmp_path / "w.yaml")
    with contextlib.chdir(tmp_path):
        words = ["run", "w.yaml", "images", "-o", "out"]
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "bad.tif" in done.output
    assert "0.tif: " in done.output
    image = read_image(folder / "0.tif")
    found = run(steps, image.data, sampling=image.sampling)
    restored = read_image(tmp_path / "out" / "0" / "denoised.tif").data
    assert restored.tobytes() == found["denoised"].tobytes()
    columns = read_columns(tmp_path / "out" / "0" / "columns.csv")
    assert columns["y"].to_numpy().tobytes() == found["columns"]["y"].to_numpy().tobytes()


@pytest.mark.slow
def test_workers_of_a_cluster_give_the_same(folder: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    steps, files = Workflow.of([LOCALIZED]), sorted(folder.iterdir())
    here = run_files(steps, files, tmp_path / "here")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = run_files(steps, files, tmp_path / "there", client=client)
    assert [(e.status, e.columns, e.files) for e in there] == [
        (e.status, e.columns, e.files) for e in here
    ]
