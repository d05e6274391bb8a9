"""Images of Nion Swift, of MATLAB, and as text."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from napari_atomseg.io import IMAGE_SUFFIXES, read_image, read_images
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import ImageFileError
from napari_atomseg.io.images.read import HINTS, READERS

RNG = np.random.default_rng(0)
PICTURE = RNG.normal(size=(16, 20)).astype(np.float32)
NM = [{"scale": 0.02, "units": "nm", "offset": 0.0}, {"scale": 0.01, "units": "nm", "offset": 0.0}]


def write_ndata(path: Path, data: Any, properties: dict[str, Any]) -> None:
    array = BytesIO()
    np.save(array, data)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", array.getvalue())
        archive.writestr("metadata.json", json.dumps(properties))


@pytest.mark.parametrize(
    "properties",
    [
        {"dimensional_calibrations": NM, "title": "HAADF"},
        {"spatial_calibrations": NM, "title": "HAADF"},
        {"data_sources": [{"dimensional_calibrations": NM}], "title": "HAADF"},
    ],
)
@pytest.mark.parametrize("suffix", [".ndata", ".ndata1"])
def test_ndata_has_its_title_and_scale(
    tmp_path: Path, properties: dict[str, Any], suffix: str
) -> None:
    write_ndata(tmp_path / f"a{suffix}", PICTURE, properties)
    image = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert (image.title, image.kind) == ("HAADF", "image")
    assert image.sampling == pytest.approx((0.2, 0.1))


def test_ndata_of_spectra_and_patterns_is_said_to_be_that(tmp_path: Path) -> None:
    write_ndata(tmp_path / "a.ndata", PICTURE, {"datum_dimension_count": 1})
    assert read_images(tmp_path / "a.ndata")[0].kind == "spectrum"
    angles = [{"scale": 1e-3, "units": "rad"}] * 2
    write_ndata(tmp_path / "b.ndata", PICTURE, {"dimensional_calibrations": angles})
    assert read_images(tmp_path / "b.ndata")[0].kind == "diffraction"


def test_nion_hdf5_has_its_scale(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = PICTURE
        file["data"].attrs["properties"] = json.dumps({"dimensional_calibrations": NM})
    assert read_image(tmp_path / "a.h5").sampling == pytest.approx((0.2, 0.1))


def test_fiji_hdf5_has_its_scale(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t0/channel0"] = np.stack([PICTURE] * 3)
        file["t0/channel0"].attrs["element_size_um"] = (1e-3, 2e-4, 1e-4)
    assert read_image(tmp_path / "a.h5").sampling == pytest.approx((2.0, 1.0))


def test_arrays_of_matlab_are_read_by_name(tmp_path: Path) -> None:
    stack = RNG.random((16, 20, 3))
    variables = {"number": 3.0, "img": PICTURE, "frames": stack, "table": np.ones((99, 3))}
    savemat(tmp_path / "a.mat", variables | {"s": {"inner": 2 * PICTURE}})
    titles = [image.title for image in read_images(tmp_path / "a.mat")]
    assert sorted(titles) == ["frames", "img", "s.inner"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.mat", "img").data, PICTURE)
    np.testing.assert_array_equal(read_image(tmp_path / "a.mat", "s.inner").data, 2 * PICTURE)
    moved = read_image(tmp_path / "a.mat", "frames")
    np.testing.assert_array_equal(moved.data, np.moveaxis(stack, -1, 0))
    assert moved.axes == ("frame", "y", "x")


def test_structure_of_statstem_has_its_scale(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"input": {"obs": PICTURE, "dx": 0.12}})
    image = read_image(tmp_path / "a.mat")
    assert (image.title, image.sampling) == ("input.obs", pytest.approx(0.12))


def test_hdf5_of_matlab_has_its_axes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["img"] = PICTURE.T
        file["img"].attrs["MATLAB_class"] = np.bytes_("single")
        file["name"] = np.array([[ord(c)] for c in "HAADF"], np.uint16)
        file["name"].attrs["MATLAB_class"] = np.bytes_("char")
    np.testing.assert_array_equal(read_image(tmp_path / "a.mat").data, PICTURE)


def test_object_of_a_class_is_named_with_what_to_do(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["result"] = np.zeros((1, 6), np.uint32)
        file["result"].attrs["MATLAB_class"] = np.bytes_("outputStatSTEM")
        file["result"].attrs["MATLAB_object_decode"] = np.int32(3)
    with pytest.raises(ImageFileError, match=r"a\.mat: result \(outputStatSTEM\) is an object"):
        read_image(tmp_path / "a.mat")


def test_matlab_without_an_image_names_its_variables(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"coordinates": np.ones((50, 3))})
    with pytest.raises(ImageFileError, match=r"a\.mat: no image in it; it holds coordinates"):
        read_image(tmp_path / "a.mat")


numbers = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(8, 10),
    columns=st.integers(8, 12),
    separator=st.sampled_from(["\t", ";", ",", " ", "  ", ", ", " ; "]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    end=st.sampled_from(["\n", "\r\n", "\t\r\n"]),
    header=st.sampled_from(["", "# counts\n", "Höhe / µm\n\n"]),
    seed=st.integers(0, 99),
)
def test_text_in_any_form_is_the_image(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    columns: int,
    separator: str,
    decimal: str,
    encoding: str,
    end: str,
    header: str,
    seed: int,
) -> None:
    data = np.random.default_rng(seed).normal(size=(rows, columns)).round(3)
    decimal = "." if "," in separator or not separator.strip(" ") else decimal
    end = end if separator == "\t" else end.lstrip("\t")
    lines = (separator.join(str(v).replace(".", decimal) for v in row) for row in data)
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes((header + "".join(line + end for line in lines)).encode(encoding))
    np.testing.assert_array_equal(read_image(path).data, data)


def test_text_of_gwyddion_has_its_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    head = "# Channel: ADF\n# Width: 5 nm\n# Height: 8 nm\n# Value units: V\n"
    path.write_text(head + "\n".join("\t".join(map(str, row)) for row in PICTURE))
    assert read_image(path).sampling == pytest.approx((80 / 16, 50 / 20))


@pytest.mark.parametrize("text", ["", "words", "y,x\n1,2\n3,4\n", "1 2 3\n" * 50, "1 2\n3\n" * 20])
def test_other_text_is_no_image(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ImageFileError, match=r"a\.txt: no image as text"):
        read_image(tmp_path / "a.txt")


def test_large_array_stays_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGE", 100)
    np.save(tmp_path / "a.npy", PICTURE)
    image = read_image(tmp_path / "a.npy")
    assert hasattr(image.data, "dask")
    np.testing.assert_array_equal(np.asarray(image.data), PICTURE)


def test_tables_in_a_folder_are_not_taken_for_its_images() -> None:
    assert not {".txt", ".csv", ".tsv", ".mat", ".emi"} & set(IMAGE_SUFFIXES)
    assert set(IMAGE_SUFFIXES) < set(READERS)


@pytest.mark.parametrize("suffix", sorted(HINTS))
def test_files_that_are_not_read_come_with_a_hint(tmp_path: Path, suffix: str) -> None:
    assert suffix not in READERS
    (tmp_path / f"a{suffix}").write_bytes(b"?")
    with pytest.raises(ImageFileError, match=rf"a\{suffix}.*(export|save|open)"):
        read_image(tmp_path / f"a{suffix}")


def test_arrays_of_old_matlab_are_read(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"image": PICTURE.astype(float)}, format="4")
    image = read_image(tmp_path / "a.mat")
    assert image.title == "image"
    np.testing.assert_array_equal(image.data, PICTURE)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_what_is_no_picture_is_refused_in_a_line(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"no picture" * 9)
    with pytest.raises(ImageFileError) as caught:
        read_image(tmp_path / f"a{suffix}")
    assert "pip install" not in str(caught.value)
    assert "\n" not in str(caught.value)
