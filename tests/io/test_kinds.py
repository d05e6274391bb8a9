"""What a data set shows: images are read without being asked for, all else is said to be that."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import read_image, read_images
from napari_atomseg.io.images import contents
from napari_atomseg.io.images.image import ImageFileError

files = import_module("microscope_files")

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 999, (16, 20)).astype(np.uint16)


def write_hspy(path: Path, *signals: dict[str, Any]) -> None:
    """Signals as HyperSpy stores them: data, title, axes (name, unit, scale), type of signal."""
    with h5py.File(path, "w") as file:
        for number, each in enumerate(signals):
            group = file.create_group(f"Experiments/{number:02d} {each.get('title', '')}")
            group["data"] = each["data"]
            axes = each.get("axes") or [("", "", 1.0)] * each["data"].ndim
            flags = each.get("navigate") or [False] * each["data"].ndim
            for index, ((name, unit, scale), navigate) in enumerate(zip(axes, flags, strict=True)):
                group.create_group(f"axis-{index}").attrs.update(
                    {"name": name, "units": unit, "scale": scale, "navigate": navigate}
                )
            group.create_group("metadata/General").attrs["title"] = each.get("title", "")
            group.create_group("metadata/Signal").attrs["signal_type"] = each.get("signal", "")


def one(path: Path, **signal: Any) -> Any:
    write_hspy(path / "a.hspy", {"data": PICTURE, **signal})
    (image,) = read_images(path / "a.hspy")
    return image


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "[n_m^-1]", "1/Å", "Å⁻¹", "mrad", "rad", "°"])
def test_reciprocal_units_and_angles_are_of_diffraction(tmp_path: Path, unit: str) -> None:
    pattern = one(tmp_path, axes=[("y", unit, 0.5), ("x", unit, 0.5)])
    assert (pattern.kind, pattern.sampling) == ("diffraction", None)
    assert pattern.scales[0][0] == 0.5


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("ky", "kx"), "diffraction"),
        (("q_y", "q_x"), "diffraction"),
        (("dy", "dx"), "diffraction"),
        (("y", "x"), "image"),
        (("", ""), "image"),
        (("y", "Energy loss"), "spectrum"),
        (("y", "Wavelength"), "spectrum"),
    ],
)
def test_names_of_axes_tell_the_kind(tmp_path: Path, names: tuple[str, str], kind: str) -> None:
    assert one(tmp_path, axes=[(name, "", 1.0) for name in names]).kind == kind


@pytest.mark.parametrize("title", ["flatfield", "Flat field", "Gain Reference", "pixel_mask"])
def test_corrections_of_a_camera_are_no_images(tmp_path: Path, title: str) -> None:
    assert one(tmp_path, title=title).kind == "flat field"


@pytest.mark.parametrize("title", ["HAADF", "field of view", "masked gain", "Unmask"])
def test_other_titles_are_of_images(tmp_path: Path, title: str) -> None:
    assert one(tmp_path, title=title).kind == "image"


def test_spectra_and_line_scans_are_listed_and_never_read_as_images(tmp_path: Path) -> None:
    energy, place = ("Energy", "eV", 0.2), ("x", "nm", 0.1)
    write_hspy(
        tmp_path / "a.hspy",
        {"data": np.arange(300.0), "title": "spectrum", "axes": [energy]},
        {"data": np.ones((30, 40)), "title": "along a line", "axes": [place, energy]},
        {"data": np.ones((30, 20)), "title": "profiles", "navigate": [True, False]},
        {"data": np.ones(50), "title": "profile", "axes": [place]},
        {"data": np.ones((4, 90)), "title": "narrow"},
        {"data": np.ones((40, 30)), "title": "kymograph", "axes": [("t", "s", 1.0), place]},
    )
    kinds = {image.title: image.kind for image in read_images(tmp_path / "a.hspy")}
    assert kinds == {
        "spectrum": "spectrum",
        "along a line": "spectrum",
        "profiles": "line scan",
        "profile": "line scan",
        "narrow": "line scan",
        "kymograph": "line scan",
    }
    with pytest.raises(ImageFileError, match=r"no image.*0: spectrum \(300,\), spectrum"):
        read_image(tmp_path / "a.hspy")
    with pytest.raises(ImageFileError, match="no dataset 'spectrum'"):
        read_image(tmp_path / "a.hspy", "spectrum")
    assert read_image(tmp_path / "a.hspy", "profiles").data.shape == (30, 20)


def test_map_of_a_spectral_signal_is_an_image(tmp_path: Path) -> None:
    place = [("y", "nm", 0.1), ("x", "nm", 0.1)]
    assert one(tmp_path, axes=place, signal="EDS_TEM").kind == "image"
    assert one(tmp_path, signal="EELS").kind == "spectrum"


def test_first_image_is_read_though_a_pattern_comes_before_it(tmp_path: Path) -> None:
    write_hspy(
        tmp_path / "a.hspy",
        {"data": PICTURE, "title": "FFT", "axes": [("y", "1/nm", 0.1), ("x", "1/nm", 0.1)]},
        {"data": 2 * PICTURE, "title": "BF"},
        {"data": 3 * PICTURE, "title": "DF"},
        {"data": 4 * PICTURE, "title": "DF"},
    )
    path = tmp_path / "a.hspy"
    assert [image.title for image in read_images(path)] == ["FFT", "BF", "DF 1", "DF 2"]
    for choice, factor in [(None, 2), ("FFT", 1), (2, 3), ("2", 3), ("DF 2", 4), (0, 1)]:
        np.testing.assert_array_equal(read_image(path, choice).data, factor * PICTURE)
    for choice in ("DF", 4, -1, "9"):
        with pytest.raises(ImageFileError, match=r"no dataset.*0: FFT .*diffraction; 1: BF"):
            read_image(path, choice)


def test_a_frame_of_a_stack_can_be_chosen(tmp_path: Path) -> None:
    stack = np.stack([PICTURE, 2 * PICTURE, 3 * PICTURE])
    axes = [("time", "s", 0.5), ("y", "nm", 0.1), ("x", "nm", 0.1)]
    write_hspy(tmp_path / "a.hspy", {"data": stack, "axes": axes})
    whole = read_image(tmp_path / "a.hspy")
    assert whole.axes == ("time", "y", "x")
    assert whole.scales == ((0.5, "s"), (0.1, "nm"), (0.1, "nm"))
    for number in (0, 2, -1):
        frame = read_image(tmp_path / "a.hspy", frame=number)
        np.testing.assert_array_equal(frame.data, stack[number])
        assert (frame.axes, frame.sampling) == (("y", "x"), 1.0)
    with pytest.raises(ImageFileError, match=r"a\.hspy: no frame 3; it has 3"):
        read_image(tmp_path / "a.hspy", frame=3)


def test_unit_that_is_not_known_is_told_and_gives_no_scale(tmp_path: Path) -> None:
    image = one(tmp_path, axes=[("y", "bananas", 0.1), ("x", "bananas", 0.1)])
    assert (image.kind, image.sampling, image.scales) == ("image", None, ((0.1, None),) * 2)
    assert image.notes == [
        "The unit 'bananas' of y and x is not known: no scale was taken from it."
    ]


@pytest.mark.parametrize("unit", ["n_m", "[nm]", "nanometers", "nm/px", "NM"])
def test_odd_spellings_of_a_unit_give_the_scale(tmp_path: Path, unit: str) -> None:
    image = one(tmp_path, axes=[("y", unit, 0.02), ("x", unit, 0.01)])
    assert image.sampling == pytest.approx((0.2, 0.1))
    assert image.notes == []


@pytest.mark.parametrize("step", [1e18, 1e-9, -1.0, 0.0, np.nan, np.inf])
def test_scale_of_no_microscope_is_left_out(tmp_path: Path, step: float) -> None:
    image = one(tmp_path, axes=[("y", "nm", step), ("x", "nm", step)])
    assert (image.sampling, image.scales) == (None, ((None, None),) * 2)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["m", "nm", "1/m", "", "?"]))
def test_sampling_is_a_length_of_a_microscope_or_none(
    tmp_path_factory: pytest.TempPathFactory, step: float, unit: str
) -> None:
    image = one(tmp_path_factory.mktemp("scale"), axes=[("y", unit, step), ("x", unit, step)])
    if image.sampling is not None:
        assert 1e-4 < image.sampling < 1e8
        assert unit in ("m", "nm")


def test_rows_come_first_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    x, y = ("x", "nm", 0.1), ("Y", "nm", 0.2)
    image = one(tmp_path, axes=[x, y])
    np.testing.assert_array_equal(image.data, PICTURE.T)
    assert image.sampling == pytest.approx((2.0, 1.0))
    cube = RNG.random((5, 16, 20))
    volume = one(tmp_path, data=cube, axes=[x, y, ("z", "nm", 0.5)])
    np.testing.assert_array_equal(volume.data, np.transpose(cube, (2, 1, 0)))
    assert volume.axes == ("z", "y", "x")
    spectra = one(tmp_path, data=cube, axes=[y, x, ("Energy", "eV", 1.0)])
    np.testing.assert_array_equal(spectra.data, cube)


def test_points_of_an_axis_give_its_step_where_they_are_even(tmp_path: Path) -> None:
    image = one(tmp_path, axes=[("y", "nm", 0.1), ("x", "nm", 0.1)])
    with h5py.File(tmp_path / "a.hspy", "a") as file:
        (group,) = file["Experiments"].values()
        for number, size in enumerate(image.data.shape):
            del group[f"axis-{number}"].attrs["scale"]
            group[f"axis-{number}/axis"] = 0.02 * np.arange(size)
    assert read_image(tmp_path / "a.hspy").sampling == pytest.approx(0.2)
    with h5py.File(tmp_path / "a.hspy", "a") as file:
        (group,) = file["Experiments"].values()
        group["axis-0/axis"][...] = np.arange(16) ** 2
    assert read_image(tmp_path / "a.hspy").sampling is None


@pytest.mark.parametrize("units", [np.array([b"nm"]), np.float64(3), b"\xff\xfe", "bananas"])
def test_berkeley_file_with_an_odd_axis_is_an_image_with_a_note(tmp_path: Path, units: Any) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/single")
        group.attrs["emd_group_type"] = 1
        group["data"] = PICTURE
        for number, (name, size) in enumerate(zip("YX", PICTURE.shape, strict=True), 1):
            group[f"dim{number}"] = 0.01 * np.arange(size)
            group[f"dim{number}"].attrs.update({"name": np.bytes_(name), "units": units})
    image = read_image(tmp_path / "a.emd")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling is None
    assert image.notes


@pytest.mark.parametrize("unit", [b"n_m", b"[n_m]", "nanometers"])
def test_berkeley_file_has_rows_first_and_its_scale(tmp_path: Path, unit: Any) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/single")
        group.attrs["emd_group_type"] = 1
        group["data"] = PICTURE
        for number, (name, step) in enumerate([("Y", 0.02), ("X", 0.01)]):
            points = step * np.arange(PICTURE.shape[number])
            group[f"dim{number + 1}"] = points
            group[f"dim{number + 1}"].attrs.update({"name": np.bytes_(name), "units": unit})
    image = read_image(tmp_path / "a.emd")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert image.sampling == pytest.approx((0.2, 0.1))


def test_axes_of_length_one_are_dropped(tmp_path: Path) -> None:
    axes = [("y", "nm", 0.2), ("channel", "", 1.0), ("x", "nm", 0.1)]
    image = one(tmp_path, data=PICTURE[:, None], axes=axes)
    assert image.data.shape == PICTURE.shape
    assert image.sampling == pytest.approx((2.0, 1.0))


def test_modulus_of_complex_numbers_is_told(tmp_path: Path) -> None:
    image = one(tmp_path, data=3 * PICTURE + 4j * PICTURE)
    np.testing.assert_allclose(image.data, 5.0 * PICTURE)
    assert "modulus" in image.notes[0]


def test_hyperspy_files_need_no_other_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("rsciio")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "rsciio", None)
    image = one(tmp_path, axes=[("y", "nm", 0.1), ("x", "nm", 0.1)], title="HAADF")
    assert (image.title, image.sampling) == ("HAADF", 1.0)


def test_large_data_stay_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGE", 1000)
    stack = RNG.random((4, 16, 20))
    lazy = one(tmp_path, data=stack)
    assert hasattr(lazy.data, "dask")
    frame = read_image(tmp_path / "a.hspy", frame=2)
    np.testing.assert_array_equal(np.asarray(frame.data), stack[2])


def test_corrections_of_a_detector_are_said_to_be_that(tmp_path: Path) -> None:
    """As Dectris writes them, with patterns in a file that is missing, and one that is there."""
    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
        own = file.create_group("entry/instrument/detector/detectorSpecific")
        own["flatfield"] = np.ones((16, 20), np.float32)
        own["pixel_mask"] = np.zeros((16, 20), np.uint32)
        data = file.create_group("entry/data")
        data["data_000001"] = h5py.ExternalLink("absent.h5", "/entry/data/data")
        data["data_000002"] = h5py.ExternalLink("b.h5", "/entry/data/data")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["entry/data/data"] = np.stack([PICTURE] * 3)
    kinds = {image.title: image.kind for image in read_images(tmp_path / "a_master.h5")}
    assert kinds == {
        "data_000002": "diffraction",
        "flatfield": "flat field",
        "pixel_mask": "flat field",
    }
    with pytest.raises(ImageFileError, match="no image"):
        read_image(tmp_path / "a_master.h5")


def test_layout_that_needs_a_missing_package_gives_its_arrays_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
        file["entry/data/counts"] = PICTURE
    assert read_image(tmp_path / "a.nxs").notes == []
    monkeypatch.setitem(sys.modules, "rsciio.nexus", None)
    image = read_image(tmp_path / "a.nxs")
    np.testing.assert_array_equal(image.data, PICTURE)
    assert "napari-atomseg[em]" in image.notes[0]


def test_profile_of_a_detector_is_no_pattern(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["counts"] = np.ones((1, 90))
        file["counts"].attrs["image_nr_low"] = 1
    assert [each.kind for each in read_images(tmp_path / "a.h5")] == ["line scan"]


@pytest.mark.parametrize(
    ("axes", "kind", "names"),
    [
        (["", "y", "x"], "image", ["frame", "y", "x"]),
        (["", "", "y", "x"], "image", ["axis 0", "axis 1", "y", "x"]),
        (["z", "y", "x"], "image", ["frame", "y", "x"]),
        (["y", "x", "ky", "kx"], "diffraction", ["scan y", "scan x", "y", "x"]),
        (["detector", "y", "x"], "image", ["channel", "y", "x"]),
        (["tilt", "tilt", "y", "x"], "image", ["tilt 0", "tilt 1", "y", "x"]),
        (["y", "x", "Energy"], "spectrum", ["y", "x", "Energy"]),
    ],
)
def test_leading_axes_are_named_by_what_they_are(
    axes: list[str], kind: Any, names: list[str]
) -> None:
    assert contents.axis_names([{"name": name} for name in axes], kind) == names


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6000), st.binary(min_size=1, max_size=8), st.floats(0.3, 1))
def test_damaged_hdf5_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes, kept: float
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.hspy"
    write_hspy(path, {"data": PICTURE, "axes": [("y", "nm", 0.1), ("x", "nm", 0.1)]})
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content[: int(kept * len(content))])
    files.read_or_refused(path)


def test_an_empty_array_hides_no_image(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", shape=(0, 5), dtype="f4")
        file.create_dataset("b", shape=(3, 0, 5), dtype="f4")
        file["image"] = PICTURE
    (image,) = read_images(tmp_path / "a.h5")
    assert image.title == "image"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("a", shape=(0, 5), dtype="f4")
    with pytest.raises(ImageFileError, match="no image in it"):
        read_images(tmp_path / "b.h5")


def write_velox(path: Path, detectors: dict[str, float], frames: int, **described: Any) -> None:
    """Images of detectors as Velox writes them, with the means given; frames are the last axis."""
    with h5py.File(path, "w") as file:
        text = np.array([json.dumps({"format": "Velox", "version": "v11"})], object)
        file.create_dataset("Version", data=text, dtype=h5py.string_dtype())
        names = {f"Detector-{n}": {"DetectorName": each} for n, each in enumerate(detectors)}
        for number, (name, mean) in enumerate(detectors.items()):
            group = file.create_group(f"Data/Image/{number:032x}")
            stack = np.random.default_rng(number).poisson(mean, (16, 20, frames))
            group["Data"] = stack.astype(np.uint16)
            result = {
                "Detector": name,
                "DetectorIndex": str(number),
                "PixelSize": {"height": "2e-11", "width": "1e-11"},
                "PixelUnitX": "m",
                "PixelUnitY": "m",
            }
            whole = {"BinaryResult": result, **described}
            whole |= {"Detectors": names} if described else {}
            said = np.frombuffer(json.dumps(whole).encode(), np.uint8)
            described_by = np.zeros((4096, frames), np.uint8)
            described_by[: len(said)] = said[:, None]
            group["Metadata"] = described_by


@pytest.mark.parametrize("suffix", [".emd", ".h5"])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("whole", [True, False])
def test_every_detector_of_velox_is_an_image(
    tmp_path: Path, suffix: str, frames: int, whole: bool
) -> None:
    pytest.importorskip("rsciio")
    detectors = {"HAADF": 50.0, "DF4": 20.0, "DF2": 10.0, "BF": 90.0}
    described: dict[str, Any] = {
        "Core": {},
        "Instrument": {"InstrumentModel": "Titan"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1511443040"}},
        "Optics": {"AccelerationVoltage": "300000"},
        "Stage": {"AlphaTilt": "0", "Position": {"x": "0", "y": "0", "z": "0"}},
        "Scan": {"FrameTime": "0.5"},
    }
    write_velox(tmp_path / f"a{suffix}", detectors, frames, **(described if whole else {}))
    images = read_images(tmp_path / f"a{suffix}")
    assert [image.title for image in images] == list(detectors)
    for image, mean in zip(images, detectors.values(), strict=True):
        assert image.data.shape == ((16, 20) if frames == 1 else (3, 16, 20))
        assert image.data.mean() == pytest.approx(mean, rel=0.1)
        assert image.sampling == pytest.approx((0.2, 0.1))
        assert bool(image.notes) is not whole
    chosen = read_image(tmp_path / f"a{suffix}", dataset="BF")
    np.testing.assert_array_equal(chosen.data, images[3].data)
