"""Microscope images: pixels and scale come out of every kind of file, and errors name the file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from rsciio.emd import file_writer as write_emd
from rsciio.hspy import file_writer as write_hspy

from napari_atomseg.io import read_image
from napari_atomseg.io.images.image import ImageFileError

files = import_module("microscope_files")

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 60_000, (32, 40)).astype(np.uint16)
SAMPLING = 0.1211


def signal(data: np.ndarray, units: str, scale: float, title: str = "HAADF") -> dict:
    """What RosettaSciIO's writers take."""
    names = ["frame", "y", "x"][-data.ndim :]
    axes = [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "units": units if name in "yx" else "",
            "scale": scale if name in "yx" else 1.0,
            "offset": 0.0,
            "size": size,
            "navigate": name == "frame",
            "is_binned": False,
            "index_in_array": number,
        }
        for number, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    metadata = {"General": {"title": title}, "Signal": {"signal_type": ""}}
    return {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package": "",
        "package_info": {},
        "package_version": "",
        "models": {},
        "learning_results": {},
        "tmp_parameters": {},
    }


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32, np.float64]
)
@pytest.mark.parametrize("shape", [(32, 40), (3, 32, 40)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_any_type_keeps_its_numbers(
    tmp_path: Path, dtype: type, shape: tuple[int, ...], order: str
) -> None:
    data = RNG.integers(0, 200, shape).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=order, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, data)
    assert image.data.dtype == dtype
    assert image.data.dtype.isnative
    assert image.axes[-2:] == ("y", "x")
    assert len(image.axes) == data.ndim
    assert (image.sampling, image.name) == (None, "a")


@pytest.mark.parametrize(
    ("unit", "per_angstrom"),
    [("nm", 0.1), ("angstrom", 1.0), ("A", 1.0), ("pm", 100.0), ("micron", 1e-4), ("um", 1e-4)],
)
def test_tiff_of_imagej_has_its_scale(tmp_path: Path, unit: str, per_angstrom: float) -> None:
    pixels_per_unit = 1 / (SAMPLING * per_angstrom)
    tifffile.imwrite(
        tmp_path / "a.tif",
        PICTURE,
        imagej=True,
        resolution=(pixels_per_unit, pixels_per_unit),
        metadata={"unit": unit},
    )
    assert read_image(tmp_path / "a.tif").sampling == pytest.approx(SAMPLING, rel=1e-6)


def test_tiff_with_oblong_pixels_has_rows_first(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", PICTURE, imagej=True, resolution=(10.0, 5.0), metadata={"unit": "nm"}
    )
    assert read_image(tmp_path / "a.tif").sampling == pytest.approx((2.0, 1.0))


def test_tiff_of_ome_has_its_scale(tmp_path: Path) -> None:
    metadata = {
        "axes": "YX",
        "PhysicalSizeX": 0.01,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.01,
        "PhysicalSizeYUnit": "nm",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", PICTURE, ome=True, metadata=metadata)
    assert read_image(tmp_path / "a.ome.tif").sampling == pytest.approx(0.1)


def test_tiff_of_gatan_has_its_scale(tmp_path: Path) -> None:
    tags = [
        (65003, "s", 0, "nm", True),
        (65004, "s", 0, "nm", True),
        (65009, "d", 1, 0.0125, True),
        (65010, "d", 1, 0.0125, True),
    ]
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, extratags=tags)
    assert read_image(tmp_path / "a.tif").sampling == pytest.approx(0.125)


def test_tiff_of_thermo_fisher_has_its_scale(tmp_path: Path) -> None:
    text = "[Scan]\r\nPixelWidth=2.5e-11\r\nPixelHeight=2.5e-11\r\n"
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, extratags=[(34682, "s", 0, text, True)])
    assert read_image(tmp_path / "a.tif").sampling == pytest.approx(0.25)


def test_resolution_of_a_printer_is_no_sampling(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, resolution=(300, 300), resolutionunit="INCH")
    assert read_image(tmp_path / "a.tif").sampling is None


def test_resolution_of_a_microscope_is_the_sampling(tmp_path: Path) -> None:
    per_cm = 1e8 / 0.5
    tifffile.imwrite(
        tmp_path / "a.tif", PICTURE, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER"
    )
    assert read_image(tmp_path / "a.tif").sampling == pytest.approx(0.5)


def test_tiff_in_colours_becomes_grey(tmp_path: Path) -> None:
    grey = (PICTURE // 256).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, grey)
    tifffile.imwrite(
        tmp_path / "b.tif", np.stack([grey] * 3), photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").data, grey)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_is_read(tmp_path: Path, compression: str) -> None:
    grey = (PICTURE // 256).astype(np.uint8)
    imageio.imwrite(tmp_path / "a.tif", grey, plugin="pillow", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, grey)


def test_second_series_of_a_tiff_can_be_chosen(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PICTURE)
        writer.write(PICTURE[:16].astype(np.float32))
    assert read_image(tmp_path / "a.tif").data.shape == (32, 40)
    assert read_image(tmp_path / "a.tif", dataset=1).data.shape == (16, 40)
    with pytest.raises(ImageFileError, match=r"a\.tif: no dataset 2"):
        read_image(tmp_path / "a.tif", dataset=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_png_keeps_its_numbers(tmp_path: Path, dtype: type) -> None:
    data = (PICTURE // (256 if dtype is np.uint8 else 1)).astype(dtype)
    imageio.imwrite(tmp_path / "a.png", data)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data, data)
    assert (image.data.dtype, image.sampling) == (dtype, None)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_grey_png_stored_in_colours_keeps_its_numbers(tmp_path: Path, channels: int) -> None:
    grey = (PICTURE // 256).astype(np.uint8)
    planes = [grey] * channels
    if channels in (2, 4):
        planes[-1] = np.full_like(grey, 255)
    imageio.imwrite(tmp_path / "a.png", np.stack(planes, axis=-1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, grey)


def test_colours_become_luminance(tmp_path: Path) -> None:
    colours = np.zeros((3, 8, 3), np.uint8)
    colours[0, :, 0] = colours[1, :, 1] = colours[2, :, 2] = 100
    imageio.imwrite(tmp_path / "a.png", colours)
    red, green, blue = read_image(tmp_path / "a.png").data[:, 0]
    assert green > red > blue > 0
    assert red + green + blue == pytest.approx(100, abs=0.1)


def test_jpeg_is_read(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8)
    imageio.imwrite(tmp_path / "a.jpg", smooth)
    assert np.abs(read_image(tmp_path / "a.jpg").data.astype(float) - smooth).max() < 8


def test_numpy_array_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PICTURE.astype(np.float16))
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(image.data, PICTURE.astype(np.float16))
    assert image.data.dtype == np.float32


def test_pickle_in_a_numpy_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}, {}], [{}, {}]]), allow_pickle=True)
    with pytest.raises(ImageFileError, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")


def test_complex_array_is_no_image(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PICTURE * 1j)
    with pytest.raises(ImageFileError, match="real numbers"):
        read_image(tmp_path / "a.npy")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".mrc", files.write_mrc), (".ser", files.write_ser), (".dm3", files.write_dm3)],
)
def test_microscope_file_has_its_numbers_and_scale(
    tmp_path: Path, suffix: str, write: Callable[[Path, np.ndarray, float], None]
) -> None:
    path = tmp_path / f"micrograph{suffix}"
    write(path, PICTURE, SAMPLING)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling == pytest.approx(SAMPLING, rel=1e-6)
    assert image.axes == ("y", "x")
    assert image.name == "micrograph"


def test_stack_of_a_microscope_is_read(tmp_path: Path) -> None:
    stack = RNG.normal(size=(3, 32, 40)).astype(np.float32)
    files.write_mrc(tmp_path / "stack.mrc", stack, SAMPLING)
    image = read_image(tmp_path / "stack.mrc")
    np.testing.assert_array_equal(image.data, stack)
    assert image.axes == ("frame", "y", "x")
    assert image.sampling == pytest.approx(SAMPLING, rel=1e-6)


@pytest.mark.parametrize(
    ("units", "scale"),
    [("nm", 0.01211), ("Å", 0.1211), ("µm", 1.211e-5), ("um", 1.211e-5), ("pm", 12.11)],
)
@pytest.mark.parametrize("suffix", [".hspy", ".hdf5"])
def test_hyperspy_file_has_its_scale_in_any_unit(
    tmp_path: Path, units: str, scale: float, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    write_hspy(str(path), signal(PICTURE, units, scale))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling == pytest.approx(SAMPLING, rel=1e-6)
    assert image.metadata["title"] == "HAADF"


@pytest.mark.slow
def test_emd_file_is_read(tmp_path: Path) -> None:
    stack = np.stack([PICTURE, PICTURE // 2])
    write_emd(str(tmp_path / "a.emd"), signal(stack, "nm", SAMPLING / 10))
    image = read_image(tmp_path / "a.emd")
    np.testing.assert_array_equal(image.data, stack)
    assert image.sampling == pytest.approx(SAMPLING, rel=1e-6)


def test_scale_without_a_unit_of_length_is_no_sampling(tmp_path: Path) -> None:
    write_hspy(str(tmp_path / "a.hspy"), signal(PICTURE, "", 0.01))
    assert read_image(tmp_path / "a.hspy").sampling is None


def test_diffraction_pattern_is_no_image_unless_asked_for(tmp_path: Path) -> None:
    write_hspy(str(tmp_path / "a.hspy"), signal(PICTURE, "1/nm", 0.01, "pattern"))
    with pytest.raises(ImageFileError, match=r"a\.hspy: no image.*pattern"):
        read_image(tmp_path / "a.hspy")
    image = read_image(tmp_path / "a.hspy", dataset="pattern")
    assert image.sampling is None
    np.testing.assert_array_equal(image.data, PICTURE)


def test_plain_hdf5_gives_its_first_image(tmp_path: Path) -> None:
    h5py = import_module("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["counts/axis"] = np.arange(5)
        file["counts/x"] = PICTURE[None]
        file["other"] = PICTURE[:16]
    image = read_image(tmp_path / "a.h5")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert len(image.metadata["datasets"]) == 2
    assert read_image(tmp_path / "a.h5", dataset="other").data.shape == (16, 40)
    with pytest.raises(ImageFileError, match=r"no dataset 'third'.*other"):
        read_image(tmp_path / "a.h5", dataset="third")


def test_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_dm3(tmp_path / "a.dm3", PICTURE, SAMPLING)
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    with pytest.raises(ImageFileError, match=r'a\.dm3.*pip install "napari-atomseg\[em\]"'):
        read_image(tmp_path / "a.dm3")


@pytest.mark.parametrize("content", [b"", b"not an image", bytes(3000), b"\xff" * 3000])
@pytest.mark.parametrize(
    "suffix",
    [".tif", ".png", ".jpg", ".npy", ".dm3", ".dm4", ".emd", ".ser", ".mrc", ".hspy", ".h5"],
)
def test_foreign_content_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"foreign{suffix}"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=f"foreign{suffix}"):
        read_image(path)


@pytest.mark.parametrize(
    "suffix", [".tif", ".png", ".npy", ".dm3", ".emd", ".ser", ".mrc", ".hspy"]
)
@pytest.mark.parametrize("part", [0.1, 0.6])
def test_truncated_file_is_refused_by_name(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"cut{suffix}"
    {
        ".tif": lambda: tifffile.imwrite(path, PICTURE),
        ".png": lambda: imageio.imwrite(path, PICTURE),
        ".npy": lambda: np.save(path, PICTURE),
        ".dm3": lambda: files.write_dm3(path, PICTURE, SAMPLING),
        ".emd": lambda: write_emd(str(path), signal(PICTURE, "nm", 0.01)),
        ".ser": lambda: files.write_ser(path, PICTURE, SAMPLING),
        ".mrc": lambda: files.write_mrc(path, PICTURE, SAMPLING),
        ".hspy": lambda: write_hspy(str(path), signal(PICTURE, "nm", 0.01)),
    }[suffix]()
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(ImageFileError, match=f"cut{suffix}"):
        read_image(path)


def test_header_of_an_impossible_size_is_refused(tmp_path: Path) -> None:
    files.write_mrc(tmp_path / "a.mrc", PICTURE, SAMPLING)
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    content[:12] = np.array([2**30, 2**30, 2**30], "<i4").tobytes()
    (tmp_path / "a.mrc").write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.mrc"):
        read_image(tmp_path / "a.mrc")


def test_missing_file_and_unknown_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"absent\.tif: no such file"):
        read_image(tmp_path / "absent.tif")
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(ImageFileError, match=r"a\.docx.*\.dm3"):
        read_image(tmp_path / "a.docx")
    with pytest.raises(ImageFileError, match="a folder"):
        read_image(tmp_path)


def test_error_is_an_oserror() -> None:
    assert issubclass(ImageFileError, OSError)
