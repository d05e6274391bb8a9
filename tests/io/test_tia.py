"""Series of TIA: what the .emi file beside them says, and what is left of an aborted one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import read_image, read_images
from napari_atomseg.io.images.image import ImageFileError

files = import_module("microscope_files")

FRAMES = np.random.default_rng(0).integers(0, 999, (5, 12, 10)).astype(np.uint16)
METRES, PER_METRE = 2e-11, 1.5e8


@pytest.mark.parametrize("described", [True, False])
def test_pattern_is_diffraction_with_or_without_its_description(
    tmp_path: Path, described: bool
) -> None:
    path = tmp_path / "saed_1.ser"
    files.write_series(path, FRAMES[:1], PER_METRE)
    if described:
        files.write_emi(tmp_path / "saed.emi", ["TEM uP SA Zoom Diffraction"])
    (pattern,) = read_images(path)
    assert (pattern.kind, pattern.sampling) == ("diffraction", None)
    assert pattern.scales[-2:] == ((pytest.approx(PER_METRE), "1/m"),) * 2
    with pytest.raises(ImageFileError, match=r"saed_1\.ser: no image.*diffraction"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, dataset=0).data, FRAMES[0])


@pytest.mark.parametrize(
    ("mode", "camera", "kind"),
    [
        ("TEM uP SA Zoom Image", True, "image"),
        ("STEM nP SA Zoom Diffraction", False, "image"),
        ("STEM nP SA Zoom Diffraction", True, "diffraction"),
        ("TEM uP SA Zoom Diffraction", True, "diffraction"),
    ],
)
def test_mode_and_camera_tell_the_kind(tmp_path: Path, mode: str, camera: bool, kind: str) -> None:
    """In scanning, lenses are in the diffraction mode while detectors record images."""
    files.write_series(tmp_path / "a_1.ser", FRAMES, METRES)
    files.write_emi(tmp_path / "a.emi", [mode], camera)
    (series,) = read_images(tmp_path / "a_1.ser")
    assert series.kind == kind
    assert series.sampling == (pytest.approx(0.2) if kind == "image" else None)


def test_series_of_a_description_are_its_data_sets(tmp_path: Path) -> None:
    files.write_series(tmp_path / "x_1.ser", FRAMES[:1], METRES)
    files.write_series(tmp_path / "x_2.ser", FRAMES[1:2], PER_METRE)
    files.write_series(tmp_path / "x_12.ser", FRAMES[2:3], METRES)
    files.write_emi(tmp_path / "x.emi", ["TEM Image", "TEM Diffraction"])
    read = read_images(tmp_path / "x.emi")
    assert [image.title for image in read] == ["x_1", "x_2", "x_12"]
    assert [image.kind for image in read] == ["image", "diffraction", "image"]
    np.testing.assert_array_equal(read_image(tmp_path / "x.emi", "x_12").data, FRAMES[2])


def test_description_without_series_says_where_they_should_be(tmp_path: Path) -> None:
    files.write_emi(tmp_path / "x.emi", ["TEM Image"])
    with pytest.raises(ImageFileError, match=r"x\.emi.*x_1\.ser"):
        read_images(tmp_path / "x.emi")


def test_series_that_was_stopped_has_what_was_recorded(tmp_path: Path) -> None:
    files.write_series(tmp_path / "a_1.ser", FRAMES[:3], METRES, total=5)
    (series,) = read_images(tmp_path / "a_1.ser")
    np.testing.assert_array_equal(series.data, FRAMES[:3])
    assert series.notes == ["The series was aborted: 3 of 5 frames are whole."]


@settings(max_examples=25, deadline=None)
@given(cut=st.floats(0, 1))
def test_whole_frames_of_a_series_cut_anywhere_are_read(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a_1.ser"
    files.write_series(path, FRAMES, METRES)
    content = path.read_bytes()
    size = 50 + FRAMES[0].nbytes + 8  # header, pixels and tag of an element
    kept = int(cut * len(content))
    path.write_bytes(content[:kept])
    whole = max(0, (kept - (len(content) - 5 * size)) // size)
    if whole == 0:
        with pytest.raises(ImageFileError, match=r"a_1\.ser"):
            read_images(path)
    else:
        (series,) = read_images(path)
        np.testing.assert_array_equal(series.data.reshape(-1, 12, 10), FRAMES[:whole])
        assert len(series.notes) == (whole < len(FRAMES))


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 170), value=st.integers(0, 255))
def test_series_with_a_damaged_header_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a_1.ser"
    files.write_series(path, FRAMES[:2], METRES)
    content = bytearray(path.read_bytes())
    content[at] = value
    path.write_bytes(content)
    files.read_or_refused(path)
