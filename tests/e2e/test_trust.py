"""What the command line says of how far its results can be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_atomseg import consistency, localize, simulate
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image, write_image


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "pt.tif"
    image = simulate("Pt", (0, 1, 1), shape=(128, 128), sampling=0.15, dose=1e4).image
    write_image(path, image, 0.15)
    return path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_restore_writes_the_consistency_map_of_the_call(scene: Path, tmp_path: Path) -> None:
    output = run("restore", scene, "-o", tmp_path / "restored.tif", "--consistency")
    restored = read_image(tmp_path / "restored.tif").data
    written = read_image(tmp_path / "restored-consistency.tif")
    expected = consistency(read_image(scene).data, restored)
    np.testing.assert_allclose(written.data, expected.z, atol=1e-5)
    assert written.sampling == pytest.approx(0.15, rel=1e-6)
    assert written.metadata["provenance"]["action"] == "consistency"
    assert expected.summary() in " ".join(output.split())


def test_doubled_pixels_are_tested_as_the_denoised_image(scene: Path, tmp_path: Path) -> None:
    options = ("--task", "upinterpolation", "--consistency")
    run("restore", scene, "-o", tmp_path / "fine.tif", *options)
    run("restore", scene, "-o", tmp_path / "restored.tif", "--consistency")
    made, expected = (read_image(tmp_path / f"{n}-consistency.tif") for n in ("fine", "restored"))
    np.testing.assert_allclose(made.data, expected.data, atol=1e-5)
    assert made.sampling == pytest.approx(0.15, rel=1e-6)


@pytest.mark.slow
def test_the_table_has_the_columns_and_the_verdict_of_the_call(scene: Path, tmp_path: Path) -> None:
    output = run("localize", scene, "-o", tmp_path / "table.csv")
    written, expected = (
        read_columns(tmp_path / "table.csv"),
        localize(read_image(scene).data, sampling=0.15),
    )
    for name in ("score", "consistency", "signal"):
        np.testing.assert_allclose(written[name], expected[name], rtol=1e-4, atol=1e-3)
    assert list(written.in_range) == list(expected.in_range)
    assert written.attrs["training_range"] == expected.attrs["training_range"]
    assert expected.attrs["training_range"] in " ".join(output.split())
