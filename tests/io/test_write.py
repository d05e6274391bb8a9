"""Images written: pixels, scale and provenance come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import provenance, read_image, write_image

RNG = np.random.default_rng(0)
LENGTHS = st.floats(1e-3, 1e5)


@settings(deadline=None, max_examples=50)
@given(sampling=LENGTHS | st.tuples(LENGTHS, LENGTHS))
def test_sampling_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sampling: float | tuple[float, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.tif"
    write_image(path, np.eye(8, dtype=np.float32), sampling)
    again = read_image(path).sampling
    np.testing.assert_allclose(np.broadcast_to(again, 2), np.broadcast_to(sampling, 2), rtol=1e-6)


@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (2, 3, 7, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pixels_of_images_and_stacks_come_back(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    data = (RNG.random(shape) * 200).astype(dtype)
    write_image(tmp_path / "a.tif", data, 0.1)
    again = read_image(tmp_path / "a.tif").data
    np.testing.assert_array_equal(again, data)
    assert again.dtype == dtype


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int32, np.int64, np.float16, np.float64])
def test_numbers_of_any_type_come_back(tmp_path: Path, dtype: type) -> None:
    data = RNG.integers(0, 2 if dtype is bool else 100, (7, 9)).astype(dtype)
    write_image(tmp_path / "a.tif", data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, data)
    assert read_image(tmp_path / "a.tif").sampling is None


def test_many_labels_and_negative_numbers_come_back(tmp_path: Path) -> None:
    data = np.array([[0, -5], [70_000, 3]], np.int32)
    write_image(tmp_path / "a.tif", data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, data)


def test_nan_comes_back(tmp_path: Path) -> None:
    data = np.array([[np.nan, 1], [2, np.inf]], np.float32)
    write_image(tmp_path / "a.tif", data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, data)


def test_provenance_comes_back_and_names_the_version(tmp_path: Path) -> None:
    record = provenance(
        "restore",
        "Grüße.dm3",
        {"sampling": np.float64(0.1), "shape": (3, 4), "path": Path("a/b"), "none": None},
        model="stem-hr",
        sha256="00ff",
    )
    write_image(tmp_path / "a.tif", np.eye(4), 0.1, record)
    again = read_image(tmp_path / "a.tif").metadata["provenance"]
    assert again == record
    assert again["settings"] == {"sampling": 0.1, "shape": [3, 4], "path": "a/b", "none": None}
    assert again["version"][0].isdigit()
    assert (again["model"], again["sha256"]) == ("stem-hr", "00ff")


def test_imagej_sees_scale_and_frames(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", np.zeros((5, 8, 8), np.float32), 0.5)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert file.imagej_metadata["unit"] == "nm"
        assert file.imagej_metadata["frames"] == 5
        numerator, denominator = file.pages.first.tags.valueof("XResolution")
        assert numerator / denominator == pytest.approx(20)


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4, 4)])
def test_too_few_or_too_many_axes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="axes"):
        write_image(tmp_path / "a.tif", np.zeros(shape))
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    write_image(path, np.eye(4))
    before = path.read_bytes()

    def full_disk(file: Path, *_: object, **__: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_image(path, np.zeros((4, 4)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        write_image(tmp_path / "absent" / "a.tif", np.eye(4))
