"""TIFF of several series, of makers of microscopes and of detectors: each page with its tags."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_atomseg.io import read_image, read_images
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import ImageFileError
from napari_atomseg.io.images.tiff import pages as tiff_pages

RNG = np.random.default_rng(0)
PER_CM = 1e8
"""Å in a centimetre."""


def lattice(shape: tuple[int, int] = (96, 128), spacing: float = 12.0, shift: float = 0.0) -> Any:
    """Bright columns on dark ground, 0..1, moved down by `shift` pixels."""
    y, x = np.indices(shape, float)
    wave = np.cos(2 * np.pi * (y - shift) / spacing) + np.cos(2 * np.pi * x / spacing)
    return np.exp(2.0 * (wave - 2.0))


def counts(scene: Any, level: float = 4000.0) -> np.ndarray:
    return RNG.poisson(scene * level + 200).astype(np.uint16)


def grey_picture(raw: np.ndarray) -> np.ndarray:
    """Eight bits with a burnt-in bar, as a camera program shows an image."""
    scaled = (255 * ((raw - raw.min()) / np.ptp(raw)) ** 0.6).astype(np.uint8)
    scaled[-10:] = 0
    scaled[-7:-3, 8:40] = 255
    return scaled


def in_cm(sampling: float) -> dict[str, Any]:
    return {"resolution": (PER_CM / sampling, PER_CM / sampling), "resolutionunit": "CENTIMETER"}


RAW = counts(lattice())
COLOURED = np.stack([grey_picture(RAW)] * 3, axis=-1)
COLOURED[-3, :, 0] = 200


def write(path: Path, *parts: tuple[np.ndarray, dict[str, Any]]) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for data, options in parts:
            writer.write(data, metadata=None, **options)
    return path


RGB: dict[str, Any] = {"photometric": "rgb"}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "preview",
    [
        (COLOURED, RGB),
        (np.stack([grey_picture(RAW)] * 3, axis=-1), RGB),
        (grey_picture(RAW), {}),
        (grey_picture(RAW)[::2, ::2], {}),
        (RAW[::4, ::4], {}),
    ],
    ids=["colours", "grey in colours", "eight bits", "small", "thumbnail"],
)
def test_raw_page_is_taken_beside_its_preview(
    tmp_path: Path, preview: tuple[np.ndarray, dict[str, Any]], first: bool
) -> None:
    raw = (RAW, in_cm(0.1))
    printed = {"resolution": (72, 72), "resolutionunit": "INCH"}
    shown = (preview[0], preview[1] | printed)
    path = write(tmp_path / "a.tif", *((shown, raw) if first else (raw, shown)))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, RAW)
    assert image.sampling == pytest.approx(0.1)
    other = read_image(path, dataset=0 if first else 1)
    assert (other.kind, other.sampling) == ("preview", None)
    assert other.data.shape == preview[0].shape[:2]


def test_picture_alone_is_an_image(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "a.tif", (COLOURED, RGB)))
    assert (image.kind, image.data.shape) == ("image", RAW.shape)


def test_page_of_another_scene_is_no_preview(tmp_path: Path) -> None:
    """Eight bits of one image, and the spectrum of it in single precision."""
    eight = (RAW // 40).astype(np.uint8)
    power = np.log1p(np.abs(np.fft.fft2(RAW - RAW.mean()))).astype(np.float32)
    path = write(tmp_path / "a.tif", (eight, in_cm(0.2)), (power, {}))
    assert [image.kind for image in read_images(path)] == ["image", "image"]
    np.testing.assert_array_equal(read_image(path).data, eight)


def test_pages_of_one_shape_and_different_scales_are_apart(tmp_path: Path) -> None:
    """Pages of one shape are a stack only where their pixels are of one size."""
    pages = [counts(lattice()) for _ in range(4)]
    scales = [in_cm(size) for size in (0.1, 0.1, 0.2, 0.1)]
    path = write(tmp_path / "a.tif", *zip(pages, scales, strict=True))
    stack, single = read_images(path)
    np.testing.assert_array_equal(stack.data, [pages[0], pages[1], pages[3]])
    np.testing.assert_array_equal(single.data, pages[2])
    assert (stack.axes, stack.sampling) == (("frame", "y", "x"), pytest.approx(0.1))
    assert (single.axes, single.sampling) == (("y", "x"), pytest.approx(0.2))


def test_independent_pages_of_half_the_size_are_all_read(tmp_path: Path) -> None:
    pages = [RAW, counts(lattice(spacing=9.0))[::2, ::2], counts(lattice(spacing=7.0))[::4, ::4]]
    images = read_images(write(tmp_path / "a.tif", *((page, {}) for page in pages)))
    assert [image.kind for image in images] == ["image"] * 3
    for image, page in zip(images, pages, strict=True):
        np.testing.assert_array_equal(image.data, page)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_compressed_pages_of_different_size_are_all_read(
    tmp_path: Path, compression: str, kind: type
) -> None:
    if compression == "jpeg" and kind is np.uint16:
        pytest.skip("JPEG has eight bits")
    pages = [
        (200 * lattice(shape)).astype(kind) * (1 if kind is np.uint8 else 256)
        for shape in ((64, 96), (32, 96))
    ]
    first, second = (Image.fromarray(page) for page in pages)
    path = tmp_path / "a.tif"
    first.save(path, save_all=True, append_images=[second], compression=compression)
    images = read_images(path)
    assert [image.data.dtype for image in images] == [kind, kind]
    for image, page in zip(images, pages, strict=True):
        error = np.abs(image.data.astype(float) - page).max()
        assert error == 0 if compression != "jpeg" else error < 40
    np.testing.assert_array_equal(read_image(path).data, images[0].data)


def test_compressed_image_whose_zero_is_white_keeps_its_numbers(tmp_path: Path) -> None:
    """Pillow turns such images around, the file's other readers do not."""
    page = (200 * lattice()).astype(np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(page).save(path, compression="packbits", tiffinfo={262: 0})
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.photometric == 0
        stored = 255 - page if not np.array_equal(file.pages.first.asarray(), page) else page
    np.testing.assert_array_equal(read_image(path).data, stored)


def test_page_that_nothing_decodes_names_the_package(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (RAW, {}))
    content = bytearray(path.read_bytes())
    entry = struct.pack("<HHI", 259, 3, 1)
    at = content.index(entry) + len(entry)
    content[at : at + 2] = struct.pack("<H", 50000)  # Zstandard, which Pillow has not
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.tif: page 0.*pip install imagecodecs"):
        read_image(path)


ZEISS = "\r\n".join(
    [
        *("0", "0", "0", "5.824988e-09", "50000.0"),
        *("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 46.6 nm"),
        *("DP_DETECTOR_CHANNEL", "Signal A = InLens", ""),
    ]
)
FEI = "\r\n".join(
    [
        *("[Beam]", "Beam=EBeam", "[EBeam]", "HFW=1.28e-08", "VFW=9.6e-09"),
        *("{}[Image]", "ResolutionX=128", "ResolutionY=96", ""),
    ]
)
FEI_SCAN = "[Scan]\r\nPixelWidth=2.5e-11\r\nPixelHeight=5e-11\r\n"


def sis(size: float) -> bytes:
    """The structure of Olympus SIS with one entry, that of general data (as tifffile reads it)."""
    head = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 30, 10, 1, 1, 118, b"", 1)
    return head, struct.pack("<10xhdd8xd2x34s32s", -9, size * 0.1, size * 0.1, 6e5, b"camera", b"")


def jeol(mode: str, value: float, unit: str, eos: str = "eosTEM") -> str:
    return (
        '<?xml version="1.0"?>\r\n<TemReporter><Manufacturer>JEOL Ltd.</Manufacturer>'
        f"<Eos><EosMode>{eos}</EosMode></Eos><ImageFormingSystem><ModeString>{mode}</ModeString>"
        f"<SelectorValue>{value}</SelectorValue><SelectorUnitString>{unit}</SelectorUnitString>"
        "</ImageFormingSystem></TemReporter>\r\n"
    )


def test_zeiss_has_its_scale_and_detector(tmp_path: Path) -> None:
    image = read_image(
        write(tmp_path / "a.tif", (RAW, {"extratags": [(34118, "s", 0, ZEISS, True)]}))
    )
    assert image.sampling == pytest.approx(58.24988 * 1024 / RAW.shape[1])
    assert (image.title, image.metadata["program"]) == ("InLens", "Zeiss")


@pytest.mark.parametrize(("scan", "sampling"), [(FEI_SCAN, (0.5, 0.25)), ("", 1.0)])
def test_thermo_fisher_has_its_scale(tmp_path: Path, scan: str, sampling: Any) -> None:
    tags = [(34682, "s", 0, FEI.format(scan), True)]
    image = read_image(write(tmp_path / "a.tif", (RAW, {"extratags": tags})))
    assert image.sampling == pytest.approx(sampling)


def test_olympus_has_its_scale_on_its_own_page(tmp_path: Path) -> None:
    """The tag stands on the second page, and points to its data by their place in the file."""
    head, general = sis(0.2392)
    entry = struct.pack("<hhI", 1, 1, 0)
    tag = (33560, 1, len(head) + 8, head + entry, True)
    path = write(tmp_path / "a.tif", (COLOURED, RGB), (RAW, {"extratags": [tag]}))
    content = bytearray(path.read_bytes())
    at = content.index(b"SIS0") + len(head)
    content[at : at + 8] = struct.pack("<hhI", 1, 1, len(content))
    path.write_bytes(bytes(content) + general + bytes(200))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, RAW)
    assert image.sampling == pytest.approx(0.2392)
    assert image.metadata["program"] == "Olympus SIS"


def test_jeol_image_is_magnified_and_its_diffraction_is_no_image(tmp_path: Path) -> None:
    dots = {"resolution": (93, 93), "resolutionunit": "INCH"}
    options = {"description": jeol("MAG", 150_000, "X"), **dots}
    image = read_image(write(tmp_path / "a.tif", (RAW, options)))
    assert image.sampling == pytest.approx(2.54e8 / 93 / 150_000)
    path = write(tmp_path / "b.tif", (RAW, {"description": jeol("DIFF", 400, "mm"), **dots}))
    with pytest.raises(ImageFileError, match=r"b\.tif: no image.*diffraction"):
        read_image(path)
    assert read_image(path, dataset=0).sampling is None
    options = {"description": jeol("MAG", 150_000, "X", eos="eosASID"), **dots}
    assert read_image(write(tmp_path / "c.tif", (RAW, options))).sampling is None


def test_zeiss_rounds_the_size_that_it_names(tmp_path: Path) -> None:
    """A named size that is another one than the unnamed says is that of the image."""
    exact = 5.824988 * 1024 / RAW.shape[1]
    for named, size in (("46.6", exact), ("99", 99.0)):
        text = ZEISS.replace("46.6 nm", f"{named} nm")
        tags = {"extratags": [(34118, "s", 0, text, True)]}
        image = read_image(write(tmp_path / "a.tif", (RAW, tags)))
        assert image.sampling == pytest.approx(10 * size)


def test_tags_that_cannot_be_read_are_told_and_the_image_is_read(tmp_path: Path) -> None:
    options = {"description": "<TemReporter>&<broken", **in_cm(0.3)}
    image = read_image(write(tmp_path / "a.tif", (RAW, options)))
    np.testing.assert_array_equal(image.data, RAW)
    assert image.sampling == pytest.approx(0.3)
    assert any("could not be read" in note for note in image.notes)


@pytest.mark.parametrize("order", ["<", ">"])
def test_large_stack_stays_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    monkeypatch.setattr(contents, "LARGE", 1000)
    data = np.stack([counts(lattice()) for _ in range(3)])
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=order, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    assert hasattr(image.data, "dask")
    np.testing.assert_array_equal(np.asarray(image.data), data)
    assert image.axes == ("frame", "y", "x")


def test_unit_that_is_not_known_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAW, imagej=True, resolution=(10, 10), metadata={"unit": "furlongs"})
    image = read_image(path)
    assert image.sampling is None
    assert any("furlongs" in note for note in image.notes)


def test_inches_that_imagej_took_over_from_a_printer_are_no_sampling(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAW, imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    assert read_image(path).sampling is None


def test_reciprocal_unit_is_a_diffraction_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAW, imagej=True, resolution=(10, 10), metadata={"unit": "1/nm"})
    (image,) = read_images(path)
    assert (image.kind, image.sampling) == ("diffraction", None)


def test_hyperstack_has_names_and_steps_of_its_axes(tmp_path: Path) -> None:
    data = np.zeros((5, 3, 2, 16, 20), np.uint16)
    data += np.arange(data.size, dtype=np.uint16).reshape(data.shape)
    metadata = {"axes": "TZCYX", "unit": "nm", "spacing": 0.5, "finterval": 2.0}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, imagej=True, resolution=(50, 50), metadata=metadata)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.axes == ("time", "z", "channel", "y", "x")
    assert image.scales[:3] == ((2.0, "s"), (0.5, "nm"), (None, None))
    assert image.sampling == pytest.approx(0.2)


def test_each_image_of_an_ome_file_has_its_own_scale_and_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for size, name in ((0.01, "first"), (0.02, "second")):
            metadata = {
                "axes": "CYX",
                "Name": name,
                "Channel": {"Name": ["HAADF", "BF"]},
                "PhysicalSizeX": size,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": size,
                "PhysicalSizeYUnit": "nm",
            }
            writer.write(np.stack([RAW, RAW]), photometric="minisblack", metadata=metadata)
    first, second = read_images(path)
    assert (first.sampling, second.sampling) == (pytest.approx(0.1), pytest.approx(0.2))
    assert first.axes == ("channel", "y", "x")
    assert first.metadata["channels"] == ["HAADF", "BF"]
    assert read_image(path, dataset="second").sampling == pytest.approx(0.2)


def stack(tmp_path: Path, pages: Any, **options: Any) -> Any:
    return read_image(write(tmp_path / "a.tif", *((page, options) for page in pages)))


def test_bright_and_dark_detector_are_channels(tmp_path: Path) -> None:
    dark = RNG.poisson(9000 - 3000 * lattice()).astype(np.uint16)
    image = stack(tmp_path, [RAW, dark])
    assert image.axes == ("channel", "y", "x")
    assert any("bright where others are dark" in note for note in image.notes)


def test_detectors_of_different_contrast_are_channels(tmp_path: Path) -> None:
    weak = RNG.poisson(20_000 + 3000 * lattice()).astype(np.uint16)
    assert stack(tmp_path, [RAW, weak]).axes == ("channel", "y", "x")


@pytest.mark.parametrize("drift", [0.0, 3.0, 6.0])
def test_frames_that_drift_are_frames(tmp_path: Path, drift: float) -> None:
    """Also by half a period of the lattice, where columns lie on gaps."""
    pages = [counts(lattice(shift=number * drift)) for number in range(3)]
    image = stack(tmp_path, pages)
    assert (image.axes, image.notes) == (("frame", "y", "x"), [])


def test_series_of_doses_and_of_focus_are_frames(tmp_path: Path) -> None:
    doses = [RNG.poisson(level * (0.3 + lattice())).astype(np.uint16) for level in (30, 100, 900)]
    assert stack(tmp_path, doses).axes == ("frame", "y", "x")
    wave = lattice() - lattice().mean()
    focus = [RNG.poisson(3000 + turn * 800 * wave).astype(np.uint16) for turn in (1, 0.2, -1)]
    assert stack(tmp_path, focus).axes == ("frame", "y", "x")


def test_names_and_times_of_pages_decide_first(tmp_path: Path) -> None:
    named = [(RAW, {"extratags": [(285, "s", 0, name, True)]}) for name in ("HAADF", "ABF")]
    image = read_image(write(tmp_path / "a.tif", *named))
    assert image.axes == ("channel", "y", "x")
    assert image.metadata["channels"] == ["HAADF", "ABF"]
    dark = RNG.poisson(9000 - 3000 * lattice()).astype(np.uint16)
    times = [
        (page, {"datetime": f"2024:01:01 10:00:0{second}"})
        for second, page in enumerate((RAW, dark))
    ]
    assert read_image(write(tmp_path / "b.tif", *times)).axes == ("frame", "y", "x")


@pytest.mark.parametrize("axis", ["Z", "T"])
def test_slices_of_imagej_are_channels_where_detectors_differ(tmp_path: Path, axis: str) -> None:
    """ImageJ calls all stacks slices; with a step between them, they are what it says."""
    dark = RNG.poisson(9000 - 3000 * lattice()).astype(np.uint16)
    path, data = tmp_path / "a.tif", np.stack([RAW, dark])
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": f"{axis}YX"})
    assert read_image(path).axes == ("channel", "y", "x")
    step = {"spacing": 2.0} if axis == "Z" else {"finterval": 2.0}
    metadata = {"axes": f"{axis}YX", "unit": "nm", **step}
    tifffile.imwrite(path, data, imagej=True, resolution=(10, 10), metadata=metadata)
    assert read_image(path).axes[0] == {"Z": "z", "T": "time"}[axis]


def test_labels_of_slices_are_names_of_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "Labels": ["HAADF", "ABF"]}
    tifffile.imwrite(path, np.stack([RAW, RAW]), imagej=True, metadata=metadata)
    image = read_image(path)
    assert (image.axes[0], image.metadata["channels"]) == ("channel", ["HAADF", "ABF"])


def test_planes_of_colours_that_differ_are_channels(tmp_path: Path) -> None:
    planes = np.stack([(200 * lattice(shift=s)).astype(np.uint8) for s in (0, 3, 6)])
    options = {"photometric": "rgb", "planarconfig": "separate"}
    image = read_image(write(tmp_path / "a.tif", (planes, options)))
    np.testing.assert_array_equal(image.data, planes)
    assert image.axes == ("channel", "y", "x")


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    two = np.stack([RAW, 5000 - RAW], axis=-1)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    image = read_image(
        write(tmp_path / "a.tif", (two, options | {"extrasamples": ["unspecified"]}))
    )
    np.testing.assert_array_equal(image.data, np.moveaxis(two, -1, 0))
    assert image.axes == ("channel", "y", "x")
    opaque = options | {"extrasamples": ["unassalpha"]}
    np.testing.assert_array_equal(read_image(write(tmp_path / "b.tif", (two, opaque))).data, RAW)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damaged_tags_raise_nothing_but_errors_of_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes of the header and tags: an image, or an error in one sentence."""
    path = tmp_path_factory.getbasetemp() / "fuzzed.tif"
    tags = [(34682, "s", 0, FEI.format(FEI_SCAN), True), (34118, "s", 0, ZEISS, True)]
    write(path, (RAW[:16, :16], {"extratags": tags}), (RAW[:8, :16], in_cm(0.1)))
    content = bytearray(path.read_bytes())
    pixels = content.index(RAW[:16, :16].tobytes())
    places = [n for n in range(len(content)) if not pixels <= n < pixels + 512]
    for place in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(ImageFileError):
        assert all(image.data.ndim >= 2 for image in read_images(path))


def test_previews_are_told_by_rank(tmp_path: Path) -> None:
    assert tiff_pages.is_picture_of(grey_picture(RAW), RAW)
    assert tiff_pages.is_picture_of(255 - grey_picture(RAW), RAW)
    assert not tiff_pages.is_picture_of(RAW, grey_picture(RAW))
    assert not tiff_pages.is_picture_of(grey_picture(counts(lattice(spacing=17.0))), RAW)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_whole_pages_of_a_file_that_was_cut_are_read(
    tmp_path: Path, compression: str | None
) -> None:
    pages = np.random.default_rng(0).integers(0, 9999, (4, 24, 32)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, compression=compression, metadata=None, contiguous=False)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        third = file.pages[2].aspage().dataoffsets[0]
    (tmp_path / "a.tif").write_bytes(content[: third + 200])
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, pages[:2])
    assert any("cut" in note or "whole" in note for note in image.notes)


def test_one_damaged_page_leaves_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = np.random.default_rng(0).integers(0, 9999, (24, 32)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(page, compression="zlib", metadata=None)
        file.write(page[:10], compression="zlib", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        second = file.pages[1].aspage().dataoffsets[0]
    content[second : second + 100] = bytes(100)
    (tmp_path / "a.tif").write_bytes(content)
    (image,) = read_images(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, page)
    assert "Page 1 is damaged" in image.notes[0]
    assert not caplog.records


def test_a_lost_calibration_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tags that stand behind the pixels are the first to go."""
    pages = np.zeros((3, 24, 32), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pages, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 1e-5}
    )
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content[:-10])
    image = read_image(tmp_path / "a.ome.tif")
    assert image.sampling is not None or "cut" in image.notes[0]
    assert not caplog.records


def test_a_unit_that_is_not_known_leaves_the_step_of_the_file(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((8, 8), np.uint16),
        imagej=True,
        resolution=(4, 2),
        metadata={"unit": "furlong"},
    )
    image = read_image(tmp_path / "a.tif")
    assert image.sampling is None
    assert "furlong" in image.notes[0]
    assert image.scales == ((0.5, None), (0.25, None))
