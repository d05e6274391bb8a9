"""The command that simulates: its options are the settings of `simulate`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_atomseg import simulate
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image
from napari_atomseg.simulation.settings import SimulationSettings

SMALL = ("--shape", "64", "80")


def run(*words: object, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["simulate", *map(str, words)], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done


def test_every_setting_is_an_option() -> None:
    shown = run("--help").stdout
    for name in SimulationSettings.model_fields:
        other = {"crystal": "crystal", "distortions": "--distortion"}
        assert other.get(name, f"--{name.replace('_', '-')}") in shown


def test_the_list_of_commands_needs_no_torch() -> None:
    code = (
        "import sys; from napari_atomseg.cli import app; from typer.testing import CliRunner; "
        "done = CliRunner().invoke(app, ['--help']); "
        "print('simulate' in done.stdout, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]


def test_options_reach_the_simulation(tmp_path: Path) -> None:
    out = tmp_path / "image.tif"
    run("Au", "-o", out, *SMALL, "--zone-axis", 1, 1, 0, "--C3", 1e4, "--gamma", "none", "--invert")
    made = simulate("Au", (1, 1, 0), (64, 80), C3=1e4, gamma=None, invert=True)
    image = read_image(out)
    assert np.array_equal(image.data, made.image)
    settings = image.metadata["provenance"]["settings"]
    assert (settings["C3"], settings["gamma"], settings["invert"]) == (1e4, None, True)


@pytest.mark.parametrize(
    "axis", [("1", "0", "-1", "0"), ("1 0 -1 0",), ("[10-10]",), ("-2", "-1", "0")]
)
def test_zone_axes_have_three_indices_or_four(tmp_path: Path, axis: tuple[str, ...]) -> None:
    out = tmp_path / "image.tif"
    run("--zone-axis", *axis, "LiCoO2", "-o", out, *SMALL, "--view", "along")
    indices = (-2, -1, 0) if len(axis) == 3 else (1, 0, -1, 0)
    made = simulate("LiCoO2", indices, (64, 80), view="along")
    assert np.array_equal(read_image(out).data, made.image)
    assert "third of four" in run(
        *("LiCoO2", "-o", out, "--zone-axis", 1, 0, 0, 0), code=1
    ).output.replace("\n", " ")


def test_truth_is_written(tmp_path: Path) -> None:
    places = {name: tmp_path / f"{name}.tif" for name in ("image", "ideal", "masks")}
    table = tmp_path / "columns.csv"
    run(
        *("Pt", "-o", places["image"], *SMALL, "--ideal", places["ideal"]),
        *("--masks", places["masks"], "--columns", table),
    )
    columns, masks = read_columns(table), read_image(places["masks"])
    assert masks.sampling == pytest.approx(0.1, rel=1e-5)
    here = columns[["y", "x"]].round().astype(int)
    inside = here.query("0 <= y < 64 and 0 <= x < 80")
    labels = masks.data[inside["y"], inside["x"]]
    assert np.array_equal(labels, inside.index + 1)
    ideal = read_image(places["ideal"]).data
    assert ideal[inside["y"], inside["x"]].mean() > 1.5 * ideal.mean()


def test_distortions_are_kinds_yaml_or_files(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("- drift\n- {kind: thermal_readout, sigma: [0.2, 0.2]}\n", encoding="utf-8")
    out = tmp_path / "image.tif"
    chosen = ("--distortion", "shear", "--distortion", "{kind: drift, distance: [1, 1]}")
    run("Pt", "-o", out, *SMALL, *chosen, "--distortion", file)
    kinds = [
        one["kind"] for one in read_image(out).metadata["provenance"]["settings"]["distortions"]
    ]
    assert kinds == ["shear", "drift", "drift", "thermal_readout"]


def test_samples_of_recipes_are_written(tmp_path: Path) -> None:
    from napari_atomseg.simulation import sample

    out = tmp_path / "image.tif"
    run("--recipe", "temimagenet", "--index", 3, "--seed", 2, "-o", out, *SMALL)
    assert np.array_equal(read_image(out).data, sample("temimagenet", 3, 2, (64, 80)).image)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "--recipe"),
        (("Pt", "--kept", "3"), "kept"),
        (("Pt", "--shape-kind", "donut"), "donut"),
        (("Pt", "--distortion", "{"), "YAML"),
        (("Pt", "--distortion", "earthquake"), "earthquake"),
        (("Pt", "--distortion", "absent.yaml"), "absent.yaml"),
        (("--recipe", "temimagenet", "--dose", "3"), "dose"),
        (("Pt", "--recipe", "temimagenet"), "crystal"),
        (("--recipe", "unheard-of"), "unheard-of"),
    ],
)
def test_mistakes_are_named_in_one_line(words: Any, reason: str, tmp_path: Path) -> None:
    out = tmp_path / "image.tif"
    done = run(*words, *SMALL, "-o", out, code=1)
    (line,) = done.stderr.strip().splitlines()
    assert reason in line
    assert not out.exists()
