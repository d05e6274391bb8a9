from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_atomseg.cli import app
from napari_atomseg.evaluation import Case, Outcome, evaluate
from napari_atomseg.evaluation.baselines import otsu_centroids
from napari_atomseg.io import write_image
from napari_atomseg.progress import Cancelled, CancelToken


@dataclass(frozen=True)
class Spots:
    """Two cases whose columns are known; the second cannot be made."""

    name: str = "spots"
    dose: float | None = None
    columns: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({"y": [16.0, 16.0, 32.0], "x": [16.0, 32.0, 16.0]})
    )

    def __len__(self):
        return 2

    def case(self, index):
        if index == 1:
            raise OSError("the disk is gone")
        image = np.random.default_rng(0).random((48, 48)).astype(np.float32)
        return Case("spots-0000", image, image, self.columns, 0.1)


@dataclass(frozen=True)
class Perfect:
    """Knows the truth."""

    name: str = "perfect"

    def __call__(self, case):
        return Outcome(case.truth, case.columns.assign(score=1.0, y_err=1.0, x_err=1.0))


@dataclass(frozen=True)
class Broken:
    name: str = "broken"

    def __call__(self, case):
        raise ValueError("no idea")


def test_what_fails_is_reported_and_the_rest_goes_on(tmp_path):
    table = evaluate([Perfect(), Broken()], [Spots()], [], out=tmp_path).set_index("method")
    assert table["failed"].to_dict() == {"perfect": 1, "broken": 2}
    assert table.loc["perfect", "f1"] == 1.0
    assert table.loc["perfect", "ece"] == 0.0
    assert table.loc["perfect", "psnr"] == np.inf
    assert np.isnan(table.loc["broken", "f1"])
    assert "spots-0000, broken: no idea" in table.attrs["errors"]
    assert "the disk is gone" in "".join(table.attrs["errors"])
    assert (tmp_path / "worst-spots-perfect.png").stat().st_size > 5000
    assert "no idea" in (tmp_path / "cases.csv").read_text()


@pytest.mark.slow
def test_models_and_baselines_on_small_images_end_to_end(tmp_path):
    settings = {"doses": [2e4], "images": 2, "shape": (128, 128), "seed": 4}
    baselines = ["raw", "gaussian", "otsu"]
    table = evaluate(["stem-hr"], ["crystals"], baselines, out=tmp_path, **settings)
    by = table.set_index("method")
    assert list(by.index) == ["stem-hr", "raw", "gaussian", "stem-hr + otsu"]
    assert (by["failed"] == 0).all()
    assert by.loc["stem-hr", "psnr"] > by.loc["gaussian", "psnr"] > by.loc["raw", "psnr"] + 3
    assert by.loc["stem-hr", "f1"] > 0.9
    assert 0.8 < by.loc["stem-hr", "median_bound"] < 1.6
    assert by.loc["stem-hr", "rmse_pm"] < 10
    written = {path.name for path in tmp_path.iterdir()}
    figures = {"doses.png", "reliability.png", "worst-crystals-stem-hr.png"}
    tables = {"table.csv", "tasks.csv", "table.md", "cases.csv", "reliability.csv"}
    assert written == tables | figures
    tasks = pd.DataFrame(table.attrs["tasks"]).set_index("task")
    assert set(tasks["method"]) == {"stem-hr"}
    assert tasks.loc["upinterpolation", "psnr"] == pytest.approx(by.loc["stem-hr", "psnr"], abs=1)
    assert tasks.loc["denoise_background", "psnr"] > 20
    assert tasks.loc["superresolution", "psnr"] > 20
    assert tasks.loc["column_mask", "dice"] > 0.7
    back = pd.read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    again = evaluate([], ["crystals"], ["gaussian"], **settings)
    same = [name for name in table if name != "seconds"]
    first = table[table["method"] == "gaussian"][same].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, again[same])


def test_images_that_another_program_restored_are_read_by_name(tmp_path):
    cases, other = tmp_path / "cases", tmp_path / "other"
    settings = {"images": 1, "shape": (64, 64), "doses": [1e4]}
    evaluate([Perfect()], ["crystals"], [], export=cases, **settings)
    other.mkdir()
    (cases / "crystals-10000-0000_target.tif").rename(other / "crystals-10000-0000.tif")
    table = evaluate([other], ["crystals"], ["raw"], **settings).set_index("method")
    assert table.loc["other", "psnr"] == np.inf
    assert table.loc["other", "median_bound"] < table.loc["raw", "median_bound"]
    write_image(other / "crystals-10000-0000.tif", np.zeros((8, 8), np.float32))
    table = evaluate([other], ["crystals"], [], **settings)
    assert "of shape (8, 8)" in table.attrs["errors"][0]


def test_cancelling_stops_and_writes_nothing(tmp_path):
    token = CancelToken()

    def progress(done, total, message):
        if done == 1:
            token.cancel()

    with pytest.raises(Cancelled):
        evaluate([Perfect()], [Spots()], [], out=tmp_path / "a", progress=progress, cancel=token)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([Perfect()], ["crystals"], ["gauss"]), "baseline='gauss'"),
        (([Perfect(), Perfect()], ["crystals"], []), "two methods are called 'perfect'"),
        (([Perfect()], [Spots(), Spots()], []), "two data sets are called 'spots'"),
    ],
)
def test_wrong_names_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(*arguments)


def test_otsu_centroids_are_those_of_the_parts():
    column_map = np.zeros((20, 30), np.float32)
    column_map[3:6, 4:7] = column_map[10:14, 20:22] = 1.0
    np.testing.assert_allclose(otsu_centroids(column_map), [[4.0, 5.0], [11.5, 20.5]])
    assert otsu_centroids(np.ones((8, 8), np.float32)).shape == (0, 2)


@pytest.mark.slow
def test_the_command_prints_the_table_and_takes_several_values_at_once():
    words = "evaluate --model stem-hr --data crystals --dose 5000 50000 --baseline raw gaussian"
    words += " --images 1 --shape 64 64"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    table, tasks = done.output.split("\n\n")[-2:]
    assert table.count("| crystals |") == 6
    assert tasks.count("| column_mask |") == 2
    assert "| 50000 | gaussian |" in done.output


def test_the_command_says_what_is_wrong():
    done = CliRunner().invoke(app, ["evaluate", "--data", "colums"])
    assert done.exit_code == 1
    assert "data='colums' is not known" in done.output
