"""A training writes over nothing that it reads, and over nothing that is not its own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from napari_atomseg.io import write_columns, write_image
from napari_atomseg.training import train
from napari_atomseg.training.outputs import Outputs


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A training named as the annotation of its image."""
    write_image(tmp_path / "scan.tif", np.eye(64, dtype=np.float32))
    write_columns(tmp_path / "scan.csv", pd.DataFrame({"y": [9.0, 20.0], "x": [9.0, 20.0]}))
    path = tmp_path / "r.yaml"
    source = {"kind": "annotated", "images": [{"image": "scan.tif", "points": "scan.csv"}]}
    network = {"name": "atomsegnet_unet", "arguments": {"widths": [4, 8, 8]}}
    content = {
        "name": "scan",
        "steps": 1,
        "batch": 1,
        "crop": 32,
        "validation": 1,
        "half": False,
        "tasks": ["column_map"],
        "network": network,
        "source": source,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_what_is_read_is_not_written_over(recipe: Path) -> None:
    folder = recipe.parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for output in ("scan.safetensors", "r.yaml", "scan.tif"):
        with pytest.raises(ValueError, match="would overwrite"):
            train(recipe, folder / output)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_is_computed_for_a_file_that_cannot_be_written(recipe: Path) -> None:
    def watch(_event: object) -> None:
        raise AssertionError("it trains")

    (recipe.parent / "folder").mkdir()
    with pytest.raises(OSError, match="this is a folder"):
        train(recipe, recipe.parent / "folder", watch=watch)
    with pytest.raises(OSError, match=r"r\.yaml"):
        train(recipe, recipe / "inside.safetensors", watch=watch)


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.csv"])
def test_files_of_others_stay(recipe: Path, name: str) -> None:
    mine = recipe.parent / name
    mine.write_text("y,x\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"{name}: .* not written by a training"):
        train(recipe, recipe.parent / "mine.safetensors")
    assert mine.read_text(encoding="utf-8") == "y,x\n1,2\n"


def test_two_trainings_do_not_share_their_files(recipe: Path) -> None:
    weights = recipe.parent / "w.safetensors"
    with Outputs(weights).alone(), pytest.raises(OSError, match="another process is writing it"):
        train(recipe, weights)
    train(recipe, weights)
    assert set(recipe.parent.glob("*w.*")) == set(Outputs(weights))
