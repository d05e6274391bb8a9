"""MRC files: the scale from the cell where it has one, both byte orders, damaged headers."""

from __future__ import annotations

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import read_image

files = import_module("microscope_files")

PICTURE = np.random.default_rng(0).normal(size=(12, 10)).astype(np.float32)


def changed(path: Path, layout: str, at: int, *values: float) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, at, *values)
    path.write_bytes(content)


@pytest.mark.parametrize("cell", [0.0, -1.0, -12.0, float("nan"), float("inf")])
def test_cell_that_is_none_gives_no_scale(tmp_path: Path, cell: float) -> None:
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 0.2)
    changed(tmp_path / "a.mrc", "<3f", 40, cell, cell, cell)
    image = read_image(tmp_path / "a.mrc")
    assert image.sampling is None
    assert image.scales == ((None, None),) * 2
    np.testing.assert_array_equal(image.data, PICTURE)


@pytest.mark.parametrize("intervals", [0, -1])
def test_cell_without_intervals_gives_no_scale(tmp_path: Path, intervals: int) -> None:
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 0.2)
    changed(tmp_path / "a.mrc", "<3i", 28, intervals, intervals, intervals)
    assert read_image(tmp_path / "a.mrc").sampling is None


def test_pixels_are_the_cell_over_its_intervals(tmp_path: Path) -> None:
    """A crop keeps the intervals of the whole cell."""
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 0.2)
    changed(tmp_path / "a.mrc", "<2i", 28, 100, 200)
    changed(tmp_path / "a.mrc", "<2f", 40, 30.0, 20.0)
    assert read_image(tmp_path / "a.mrc").sampling == pytest.approx((0.1, 0.3))


def test_pixels_of_exactly_one_angstrom_are_doubted(tmp_path: Path) -> None:
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 1.0)
    image = read_image(tmp_path / "a.mrc")
    assert image.sampling == pytest.approx(1.0)
    assert "check it" in image.notes[0]


@pytest.mark.parametrize("suffix", [".map", ".st", ".rec", ".ali", ".mrcs"])
def test_relatives_are_read_alike(tmp_path: Path, suffix: str) -> None:
    stack = np.stack([PICTURE, 2 * PICTURE])
    files.write_mrc(tmp_path / f"a{suffix}", stack, 0.2)
    image = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.data, stack)
    assert (image.axes, image.sampling) == (("frame", "y", "x"), pytest.approx(0.2))


@pytest.mark.parametrize(("kept", "whole"), [(1.0, 5), (0.99, 4), (0.5, 2)])
def test_whole_images_of_a_stack_that_was_cut_are_read(
    tmp_path: Path, kept: float, whole: int
) -> None:
    stack = np.stack([number * PICTURE for number in range(1, 6)])
    files.write_mrc(tmp_path / "a.mrc", stack, 0.2)
    content = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(content[: 1024 + int(kept * stack.nbytes)])
    image = read_image(tmp_path / "a.mrc")
    np.testing.assert_array_equal(image.data, stack[:whole])
    assert image.sampling == pytest.approx(0.2)
    assert image.notes == (
        [] if whole == 5 else [f"The file was cut: {whole} of 5 images are whole."]
    )


def test_volume_has_depth(tmp_path: Path) -> None:
    files.write_mrc(tmp_path / "a.rec", np.stack([PICTURE, 2 * PICTURE]), 0.2)
    changed(tmp_path / "a.rec", "<i", 88, 1)
    image = read_image(tmp_path / "a.rec")
    assert image.axes == ("z", "y", "x")
    assert image.scales[0] == (pytest.approx(0.02), "nm")


def test_other_byte_order_is_read(tmp_path: Path) -> None:
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 0.2)
    content = np.frombuffer((tmp_path / "a.mrc").read_bytes(), "<u4").byteswap()
    (tmp_path / "a.mrc").write_bytes(content.tobytes())
    image = read_image(tmp_path / "a.mrc")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling == pytest.approx(0.2)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 255), value=st.binary(min_size=4, max_size=4), kept=st.floats(0.5, 1))
def test_damaged_files_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes, kept: float
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.mrc"
    files.write_mrc(path, PICTURE, 0.2)
    content = bytearray(path.read_bytes())
    content[at : at + 4] = value
    path.write_bytes(content[: int(kept * len(content))])
    for image in files.read_or_refused(path):
        assert image.sampling is None or np.all(np.array(image.sampling) > 0)


def write_bytes(path: Path) -> np.ndarray:
    """An image of mode 0 whose header has neither a version nor extreme values."""
    files.write_mrc(path, PICTURE, 0.2)
    numbers = np.arange(120, dtype=np.uint8).reshape(12, 10) * 2
    path.write_bytes(path.read_bytes()[:1024] + numbers.tobytes())
    changed(path, "<i", 12, 0)
    changed(path, "<2f", 76, 0, 0)
    changed(path, "<2i", 104, 0, 0)
    return numbers


@pytest.mark.parametrize(
    ("layout", "at", "values", "signed"),
    [
        ("<i", 108, (20140,), True),
        ("<2f", 76, (-128, 126), True),
        ("<2f", 76, (0, 238), False),
        ("<4sI", 152, (b"IMOD", 1), True),
        ("<4sI", 152, (b"IMOD", 0), False),
    ],
)
def test_bytes_have_the_sign_that_the_header_tells(
    tmp_path: Path, layout: str, at: int, values: tuple[Any, ...], signed: bool
) -> None:
    numbers = write_bytes(tmp_path / "a.mrc")
    changed(tmp_path / "a.mrc", layout, at, *values)
    data = read_image(tmp_path / "a.mrc").data
    np.testing.assert_array_equal(data, numbers.view(np.int8) if signed else numbers)


@pytest.mark.parametrize("mark", [b"IMOD", b"\0" * 4])
def test_extended_header_of_another_program_hides_no_scale(tmp_path: Path, mark: bytes) -> None:
    """Of the length that the headers of Thermo Fisher have."""
    files.write_mrc(tmp_path / "a.mrc", PICTURE, 0.2)
    content = (tmp_path / "a.mrc").read_bytes()
    further = (b"\1" if mark == b"IMOD" else b"\0") * 131072
    (tmp_path / "a.mrc").write_bytes(content[:1024] + further + content[1024:])
    changed(tmp_path / "a.mrc", "<i", 92, 131072)
    changed(tmp_path / "a.mrc", "<4s", 152, mark)
    image = read_image(tmp_path / "a.mrc")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling == pytest.approx(0.2)
