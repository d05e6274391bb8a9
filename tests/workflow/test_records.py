"""Records of results: the workflow that made them, and what no workflow can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import napari_atomseg as atomseg
from napari_atomseg.cli import app
from napari_atomseg.io import provenance, read_columns, write_columns, write_image
from napari_atomseg.io.inputs import columns_input, image_input, positions
from napari_atomseg.workflow import (
    Workflow,
    WorkflowError,
    as_commands,
    as_python,
    described_file,
    frames,
    frames_of,
    history_of,
    run,
    run_files,
    workflow_of,
)

PEAKS = {"detector": "peaks", "sensitivity": 0.0}
SAMPLING = 0.15


@pytest.fixture(scope="module")
def pixels() -> Any:
    return atomseg.simulate("SrTiO3", shape=(96, 112), sampling=SAMPLING, seed=4).image


@pytest.fixture(scope="module")
def stack(pixels: Any) -> Any:
    """Three frames of one field."""
    rng = np.random.default_rng(1)
    return np.stack([pixels + rng.normal(0.0, 0.02, pixels.shape) for _ in range(3)])


@pytest.fixture
def columns(pixels: Any) -> pd.DataFrame:
    """Columns with the record of a chain: an image in a file, and `localize`."""
    table = atomseg.localize(pixels, sampling=SAMPLING, **PEAKS)
    file = image_input(pixels, "survey", file="survey.tif", sampling=SAMPLING)
    settings = {"sampling": SAMPLING, **PEAKS}
    found = positions(table)
    table.attrs = provenance("localize", "survey", settings, inputs={"of": file}, result=found)
    return table


def test_files_of_a_workflow_say_which_it_was(pixels: Any, tmp_path: Path) -> None:
    write_image(tmp_path / "survey.tif", pixels, SAMPLING)
    steps = Workflow.of(
        [
            {"name": "columns", "action": "localize", "settings": PEAKS},
            {"name": "lattice", "action": "measure lattice", "of": "columns"},
            {"name": "strain", "action": "measure strain", "of": "lattice"},
        ]
    )
    (done,) = run_files(steps, [tmp_path / "survey.tif"], tmp_path / "out")
    assert done.status == "done", done.reason
    found = history_of(described_file(tmp_path / "out" / "survey" / "strain.csv"))
    assert found.problem == ""
    assert found.image is not None
    assert found.image.file == tmp_path / "survey.tif"
    assert [step.action for step in found.workflow.steps] == [s.action for s in steps.steps]
    assert found.workflow.sampling is None
    assert len(found.lines) == 4
    words = ["history", str(tmp_path / "out" / "survey" / "strain.csv")]
    told = CliRunner().invoke(app, [*words, "--workflow", str(tmp_path / "again.yaml")])
    assert told.exit_code == 0, told.output
    assert all(line in " ".join(told.output.split()) for line in found.lines)
    assert Workflow.load(tmp_path / "again.yaml").yaml() == found.workflow.yaml()
    assert CliRunner().invoke(app, [*words, "--python"]).output == found.python()
    again = run(found.workflow, pixels, sampling=SAMPLING)
    table = read_columns(tmp_path / "out" / "survey" / "strain.csv")
    np.testing.assert_array_equal(again[found.result].columns["eps_xx"], table["eps_xx"])


@pytest.mark.slow
def test_an_average_of_frames_and_its_noise_are_repeated(stack: Any, tmp_path: Path) -> None:
    """Its columns have other errors than those of an image whose pixels share no noise."""
    steps = Workflow.of(
        [
            {"name": "average", "action": "align"},
            {"name": "columns", "action": "localize", "of": "average", "settings": PEAKS},
        ]
    )
    write_image(tmp_path / "stack.tif", stack.astype(np.float32), SAMPLING)
    run_files(steps, [tmp_path / "stack.tif"], tmp_path / "out")
    made = atomseg.align(stack.astype(np.float32), sampling=SAMPLING)
    noise = made.record()["noise_correlation"]
    table = atomseg.localize(made.average, sampling=SAMPLING, noise=noise, **PEAKS)
    columns = read_columns(tmp_path / "out" / "stack" / "columns.csv")
    np.testing.assert_array_equal(columns["y_err"], table["y_err"])
    found = workflow_of(described_file(tmp_path / "out" / "stack" / "columns.csv"))
    assert [step.action for step in found.steps] == ["align", "localize"]
    names: dict[str, Any] = {}
    exec(as_python(found, tmp_path / "stack.tif"), names)  # noqa: S102 - the script is ours
    np.testing.assert_array_equal(names["columns"]["y_err"], table["y_err"])


@pytest.mark.slow
def test_frames_are_images_of_their_own(stack: Any, tmp_path: Path) -> None:
    """From a file and from memory the same as each frame alone."""
    write_image(tmp_path / "film.tif", stack.astype(np.float32), SAMPLING)
    steps = Workflow.of([{"name": "columns", "action": "localize", "settings": PEAKS}])
    of_file = run_files(steps, frames(tmp_path / "film.tif"), tmp_path / "a")
    of_layer = run_files(
        steps, frames_of("film", stack.astype(np.float32), SAMPLING), tmp_path / "b"
    )
    for number, (one, other) in enumerate(zip(of_file, of_layer, strict=True)):
        alone = atomseg.localize(stack[number].astype(np.float32), sampling=SAMPLING, **PEAKS)
        for done in (one, other):
            table = read_columns(Path(done.place) / "columns.csv")
            np.testing.assert_array_equal(table["y"], alone["y"])
    found = history_of(described_file(tmp_path / "a" / "film-0002" / "columns.csv"))
    assert found.image is not None
    assert found.image.frame == 2
    assert "frame=2" in as_python(found.workflow, found.image.file, frame=found.image.frame)


@pytest.mark.slow
def test_a_frame_of_a_stack_is_a_step(stack: Any, tmp_path: Path) -> None:
    """Measurements of one frame take its columns and its image."""
    steps = Workflow.of(
        [
            {"name": "columns", "action": "localize", "settings": PEAKS},
            {"name": "strain", "action": "measure strain", "of": "columns", "frame": [1]},
        ]
    )
    found = run(steps, stack, sampling=SAMPLING)
    columns = found["columns"]
    one = columns[columns["frame"] == 1].reset_index(drop=True)
    strain = atomseg.measurements.strain(one, stack[1], sampling=SAMPLING)
    np.testing.assert_array_equal(found["strain"].columns["eps_xx"], strain.columns["eps_xx"])
    with pytest.raises(ValueError, match=r"strain: frame=\[7\]"):
        run(Workflow.of([steps.steps[0], {**dict(steps.steps[1]), "frame": [7]}]), stack)
    write_image(tmp_path / "film.tif", stack, SAMPLING)
    (_, command) = as_commands(steps, tmp_path / "film.tif")
    assert command.endswith("--frame 1")


def test_a_measurement_of_an_image_takes_columns_where_it_may(columns: pd.DataFrame) -> None:
    inputs = {
        "of": columns_input(columns, "survey columns"),
        "on": columns.attrs["inputs"]["of"],
    }
    record = provenance("measure", "survey columns", {"measure": "gpa"}, inputs=inputs)
    (_, step) = workflow_of({"name": "GPA", "shape": [5, 5], "record": record}).steps
    assert (step.of, step.columns) == ("image", "columns")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"settings": {"measure": "strain", "use": "selected"}}, "selection differs by image"),
        ({"aligned": False}, "does not lie on the columns"),
        ({"inputs": {}}, "does not say what it was made of"),
        ({"settings": {"measure": "stress"}}, "'measure stress' is no step"),
    ],
)
def test_what_cannot_be_repeated_is_told(
    change: dict[str, Any], told: str, columns: pd.DataFrame
) -> None:
    inputs = {"of": columns_input(columns, "survey columns"), "on": columns.attrs["inputs"]["of"]}
    record = provenance("measure", "survey columns", {"measure": "strain"}, inputs=inputs)
    found = history_of({"name": "strain", "shape": [9], "record": record | change})
    assert found.workflow is None
    assert told in found.problem


def test_columns_changed_since_they_were_made_are_told(
    columns: pd.DataFrame, tmp_path: Path
) -> None:
    """A table that another program changed keeps the record, but not what it is the record of."""
    columns.loc[0, "y"] += 0.25
    write_columns(tmp_path / "columns.csv", columns, columns.attrs)
    with pytest.raises(WorkflowError, match="changed"):
        workflow_of(described_file(tmp_path / "columns.csv"))


def test_regions_are_kept_as_polygons_and_refused_as_labels(columns: pd.DataFrame) -> None:
    corners = [[0.0, 0.0], [0.0, 50.0], [50.0, 50.0]]
    drawn = columns.attrs | {"polygons": [corners]}
    drawn["settings"] = {**drawn["settings"], "region": "Shapes"}
    columns.attrs = drawn
    (step,) = workflow_of(columns_input(columns, "columns")).steps
    assert step.region == (tuple(map(tuple, corners)),)
    del drawn["polygons"]
    columns.attrs = drawn
    with pytest.raises(WorkflowError, match="labels 'Shapes'"):
        workflow_of(columns_input(columns, "columns"))


def test_a_typed_sampling_is_that_of_the_workflow(columns: pd.DataFrame) -> None:
    record = columns.attrs
    columns.attrs = record | {"settings": {**record["settings"], "sampling": 0.2}}
    assert workflow_of(columns_input(columns, "columns")).sampling == 0.2
    columns.attrs = record | {"settings": {**record["settings"], "sampling": None}}
    with pytest.raises(WorkflowError, match="size of a pixel"):
        workflow_of(columns_input(columns, "columns"))


def test_what_has_no_history_says_so(pixels: Any) -> None:
    assert "no step" in history_of(image_input(pixels, "survey")).problem
    table = pd.DataFrame({"y": [1.0], "x": [2.0]})
    assert "not made by this plugin" in history_of({"name": "Points"}).problem
    record = provenance(
        "measure", "p", {"measure": "strain"}, inputs={"of": columns_input(table, "p")}
    )
    assert "not localized" in history_of({"name": "x", "shape": [1], "record": record}).problem
