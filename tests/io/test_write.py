"""Images written: pixels, scale and provenance come back."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import provenance, read_image, write_image
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import MicroscopeImage

RNG = np.random.default_rng(0)
SUFFIXES = (".tif", ".h5", ".zarr")
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_image_is_refused(tmp_path: Path, suffix: str) -> None:
    for data in (np.zeros(4), np.eye(4) * 1j, np.array([["a", "b"]])):
        with pytest.raises(ValueError, match=r"axes|real numbers"):
            write_image(tmp_path / f"a{suffix}", data)
    with pytest.raises(ValueError, match="axes"):
        write_image(tmp_path / f"a{suffix}", np.eye(4), axes=("frame", "y", "x"))
    assert list(tmp_path.iterdir()) == []


def test_suffix_that_is_not_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png.*\.hspy.*\.zarr"):
        write_image(tmp_path / "a.png", np.eye(4))


NAMES = ("channel", "time", "frame", "z", "axis 0", "tilt")
STEPS = st.none() | st.tuples(st.floats(1e-3, 1e3), st.sampled_from(["nm", "s", "Å", "mrad"]))
TYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")


@st.composite
def images(draw: st.DrawFn) -> MicroscopeImage:
    """Images of any number of axes with or without scales, and of any kind of numbers."""
    leading = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    shape = (*draw(st.tuples(*[st.integers(1, 3)] * len(leading))), draw(st.integers(2, 9)), 7)
    kind = np.dtype(draw(st.sampled_from(TYPES)))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-100, 100, shape)
    if kind.kind in "iu" and kind.itemsize == 4:
        values.flat[0] = np.iinfo(kind).max  # no single precision holds it
    steps = [draw(STEPS) or (None, None) for _ in leading]
    pixel = draw(st.none() | st.tuples(st.floats(1e-3, 1e5), st.floats(1e-3, 1e5)))
    last = [(None, None)] * 2 if pixel is None else [(size, "Å") for size in pixel]
    return MicroscopeImage(
        values.astype(kind),
        None if pixel is None else (pixel[0] if pixel[0] == pixel[1] else pixel),
        (*leading, "y", "x"),
        metadata={"provenance": {"action": "Größe", "n": [1, None]}, "labels": draw(st.booleans())},
        scales=(*steps, *last),
        title=draw(st.sampled_from(["", "HAADF 2", "a/b"])),
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(image=images())
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_image_comes_back_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, image: MicroscopeImage
) -> None:
    path = tmp_path_factory.getbasetemp() / f"again{suffix}"
    write_image(path, image)
    again = read_image(path)
    np.testing.assert_array_equal(again.data, image.data)
    kept = np.dtype(np.uint8) if image.data.dtype == bool else image.data.dtype
    assert again.data.dtype == kept
    assert (again.axes, again.title, again.kind) == (image.axes, image.title, "image")
    assert again.scales == image.scales
    assert again.sampling == image.sampling
    assert again.metadata["provenance"] == image.metadata["provenance"]
    assert again.metadata.get("labels", False) == image.metadata["labels"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_image_that_was_read_is_written_with_another_sampling(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / "a.tif", np.zeros((3, 8, 9), np.uint8), 0.1, axes=("channel", "y", "x"))
    write_image(tmp_path / f"b{suffix}", read_image(tmp_path / "a.tif"), (0.2, 0.3))
    again = read_image(tmp_path / f"b{suffix}")
    assert (again.sampling, again.axes) == ((0.2, 0.3), ("channel", "y", "x"))


def test_labels_of_many_columns_stay_whole_for_every_program(tmp_path: Path) -> None:
    labels = np.arange(70_000 * 4, dtype=np.int32).reshape(4, 250, 280)
    write_image(tmp_path / "a.tif", labels, 0.5, labels=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert file.imagej_metadata["unit"] == "nm"
        assert file.imagej_metadata["frames"] == len(file.pages) == 4
        assert file.pages.first.dtype == np.int32
        # ImageJ takes one block of pixels from the place of the first page.
        places = [page.dataoffsets[0] for page in file.pages]
        assert np.ptp(np.diff(places)) == 0
    again = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(again.data, labels)
    assert again.metadata["labels"]


def test_resolution_that_another_program_changed_is_believed(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", np.eye(8, dtype=np.float32), 0.5)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for name in ("XResolution", "YResolution"):
            file.pages.first.tags[name].overwrite((40, 1))
    image = read_image(tmp_path / "a.tif")
    assert image.sampling == pytest.approx(0.25)
    assert image.scales[-1] == (pytest.approx(0.025), "nm")


def test_hdf5_is_read_by_the_library_of_hyperspy(tmp_path: Path) -> None:
    rsciio = pytest.importorskip("rsciio.hspy")
    data = RNG.normal(size=(3, 8, 9))
    scales = ((0.5, "s"), (0.02, "nm"), (0.03, "nm"))
    write_image(tmp_path / "a.hspy", data, axes=("time", "y", "x"), scales=scales)
    (signal,) = rsciio.file_reader(str(tmp_path / "a.hspy"))
    np.testing.assert_array_equal(signal["data"], data)
    assert [axis["name"] for axis in signal["axes"]] == ["time", "y", "x"]
    assert [(axis["scale"], axis["units"]) for axis in signal["axes"]] == list(scales)
    assert [axis["navigate"] for axis in signal["axes"]] == [True, False, False]


def test_zarr_follows_the_specification_of_ome(tmp_path: Path) -> None:
    scales = ((0.5, "s"), (0.02, "nm"), (0.03, "nm"))
    data = RNG.normal(size=(3, 8, 9))
    write_image(tmp_path / "a.zarr", data, axes=("time", "y", "x"), scales=scales)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (about,) = ome["multiscales"]
    assert about["axes"] == [
        {"name": "time", "type": "time", "unit": "second"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    (level,) = about["datasets"]
    assert level["coordinateTransformations"] == [{"type": "scale", "scale": [0.5, 0.02, 0.03]}]
    np.testing.assert_array_equal(group[level["path"]], data)
    assert group[level["path"]].metadata.dimension_names == ("time", "y", "x")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_of_other_programs_is_read(tmp_path: Path, version: str) -> None:
    data = RNG.normal(size=(2, 8, 9)).astype(np.float32)
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    scale = [{"type": "scale", "scale": [1.0, 1e-5, 2e-5]}]
    about = {"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": scale}]}
    three = version == "0.5"
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3 if three else 2)
    group.create_array("s0", shape=data.shape, dtype=data.dtype)[:] = data
    group.attrs.update({"ome": {"multiscales": [about]}} if three else {"multiscales": [about]})
    image = read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.data, data)
    assert image.axes == ("channel", "y", "x")
    assert image.sampling == pytest.approx((0.1, 0.2))


def test_large_zarr_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = RNG.normal(size=(2, 8, 9))
    write_image(tmp_path / "a.zarr", data)
    monkeypatch.setattr(contents, "LARGE", 100)
    image = read_image(tmp_path / "a.zarr")
    assert hasattr(image.data, "dask")
    np.testing.assert_array_equal(np.asarray(image.data), data)


def test_folder_that_is_no_zarr_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OSError, match=r"a\.zarr.*not replaced"):
        write_image(folder, np.eye(4))
    assert (folder / "thesis.txt").read_text() == "years of work"


FULL = {
    ".tif": (tifffile, "imwrite"),
    ".h5": (h5py.Group, "create_dataset"),
    ".zarr": (zarr.Group, "create_array"),
}


@pytest.mark.parametrize("suffix", FULL)
def test_failed_write_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, np.eye(4), 0.1)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*FULL[suffix], full_disk)
        with pytest.raises(OSError, match="no space"):
            write_image(path, np.zeros((4, 4)))
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(read_image(path).data, np.eye(4))
    write_image(path, np.zeros((4, 4)))
    assert not np.any(read_image(path).data)
    assert list(tmp_path.iterdir()) == [path]


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
