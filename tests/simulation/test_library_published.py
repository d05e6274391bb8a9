"""A folder in the form of TEM ImageNet v1.3 as its authors publish it."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_atomseg.evaluation.datasets import open_datasets
from napari_atomseg.simulation.library.read import open_library
from napari_atomseg.training.sources.library import LibraryFolder

SIDE = 64
FIELD = 11.76
"""Å."""
COLUMNS = np.array([[10.25, 20.5], [31.0, 44.75], [52.5, 12.0], [50.0, 53.25]])
"""(row, column) in pixels, the centre of the first pixel being (0, 0)."""
FOLDERS = (
    "circularMask",
    "gaussianMask",
    "image",
    "noBackgroundnoNoise",
    "noNoise",
    "noNoiseNoBackgroundSuperresolution",
    "noNoiseNoBackgroundUpinterpolation2x",
    "noNoiseUpinterpolation2x",
    "smallcircularMask",
)


def peaks(width: float, zoom: int = 1) -> np.ndarray:
    """Grey values of round peaks at the columns."""
    rows, cols = np.indices((SIDE * zoom, SIDE * zoom)) / zoom
    places = COLUMNS[:, :, None, None]
    square = (rows - places[:, 0]) ** 2 + (cols - places[:, 1]) ** 2
    return np.rint(255 * np.exp(-0.5 * square / width**2).sum(axis=0)).clip(0, 255).astype(np.uint8)


def numbers(*values: float) -> str:
    """Text of the authors' program: 21 characters a number, twenty digits."""
    return "".join(f"{value:21.20g} " for value in values) + "\n"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "TEM-ImageNet-v1.3-master"
    for name in (*FOLDERS, "params", "position", "positionRadius", "radius", "smallradius"):
        (folder / name).mkdir(parents=True)
    for sample in ("00002", "00005"):  # numbers are missing there
        for name in FOLDERS:
            zoom = 2 if name.endswith("2x") else 1
            imageio.imwrite(folder / name / f"{sample}.png", peaks(1.8, zoom))
        values = (FIELD, 0, 0, 0, 0, 200, 0, 24, 0.9, 16, 30, 0.29057919, 0.29057919)
        text = "".join(numbers(value) for value in values)
        (folder / "params" / f"{sample}.txt").write_text(text)
        # Their program counts rows and columns from 1.
        rows = COLUMNS + 1
        text = "".join(numbers(*row) for row in rows)
        (folder / "position" / f"{sample}.txt").write_text(text)
        text = "".join(numbers(*row, 2.832) for row in rows)
        (folder / "positionRadius" / f"{sample}.txt").write_text(text)
        (folder / "radius" / f"{sample}.txt").write_text(numbers(2.832))
        (folder / "smallradius" / f"{sample}.txt").write_text(numbers(1.982))
    return folder


def test_positions_are_where_the_image_has_its_peaks(published: Path) -> None:
    sample = open_library(published)[0]
    found = sample.columns[["y", "x"]].to_numpy()
    np.testing.assert_allclose(found, COLUMNS)
    for row, col in found:
        top, left = round(row) - 8, round(col) - 8
        window = sample.image[top : top + 17, left : left + 17].astype(float)
        rows, cols = np.indices(window.shape)
        centre = [float((axis * window).sum() / window.sum()) for axis in (rows, cols)]
        np.testing.assert_allclose(centre, (row - top, col - left), atol=0.05)


def test_settings_are_those_of_the_table_in_the_paper(published: Path) -> None:
    sample = open_library(published)[1]
    known = {name: sample.settings[name] for name in ("energy", "semiangle", "source_size")}
    assert known == {"energy": 200e3, "semiangle": 24.0, "source_size": 0.9}
    assert sample.sampling == pytest.approx(FIELD / SIDE)
    assert len(sample.settings["params"]) == 13
    assert set(sample.targets) == {
        "circular_mask",
        "gaussian_mask",
        "no_background_no_noise",
        "no_noise",
        "no_noise_no_background_superresolution",
        "no_noise_no_background_upinterpolation_2x",
        "no_noise_upinterpolation_2x",
        "position",
        "position_radius",
        "radius",
        "small_circular_mask",
        "small_radius",
    }


def test_it_is_a_data_set_and_a_source_of_training(published: Path) -> None:
    (dataset,) = open_datasets([published], images=1)
    assert (len(dataset), dataset.dose) == (1, None)
    case = dataset.case(0)
    assert case.name == "TEM-ImageNet-v1.3-master-00002"
    np.testing.assert_allclose(case.columns[["y", "x"]], COLUMNS)
    np.testing.assert_allclose(case.truth, case.image, atol=1e-5)
    assert case.sampling == pytest.approx(FIELD / SIDE)
    source = LibraryFolder(folder=published).open(seed=0, targets=["gaussian_mask"])
    assert source.targets == ("gaussian_mask",)
