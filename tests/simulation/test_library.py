"""Libraries on disk: what is written comes back, stops cost nothing, damage is noticed."""

from __future__ import annotations

import csv
import errno
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import psutil
import pytest
import zarr

from napari_atomseg import simulation
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.simulation.library import files as library_files
from napari_atomseg.simulation.library import folders as library_folders
from napari_atomseg.simulation.library import write as library_write
from napari_atomseg.simulation.library import zarr_store
from napari_atomseg.simulation.library.read import (
    Library,
    LibraryError,
    open_library,
    select_samples,
    write_library,
)

SHAPE = (24, 32)
LAYOUTS = ["folders", "zarr"]
PUBLIC = {
    "image",
    "circularMask",
    "smallcircularMask",
    "gaussianMask",
    "noNoise",
    "noBackgroundnoNoise",
    "noNoiseNoBackgroundSuperresolution",
    "noNoiseUpinterpolation2x",
    "noNoiseNoBackgroundUpinterpolation2x",
    "position",
    "positionRadius",
    "radius",
    "smallradius",
    "params",
}


class Recipe(SimpleNamespace):
    """Stands in for a recipe; draws nothing but a few columns."""

    def model_dump(self, mode: str) -> dict[str, Any]:
        return vars(self)


def draw(recipe: Recipe, index: int, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Any:
    """A sample with every kind of target, made of few numbers so that it costs nothing."""
    rng = np.random.default_rng((seed, index))
    image = rng.normal(1.0, recipe.noise, shape).astype(np.float32)
    count = int(rng.integers(1, 6))
    columns = pd.DataFrame(rng.uniform(0, 20, (count, 3)), columns=["y", "x", "radius"])
    columns["elements"] = rng.choice(["Sr", "TiO", "Na"], count)
    elements = sorted(set(columns["elements"]))
    double = np.kron(image, np.ones((2, 2), np.float32))
    targets = {
        "circular_mask": (image > 1).astype(np.float32),
        "small_circular_mask": (image > 1.2).astype(np.float32),
        "gaussian_mask": np.clip(image, 0, 1),
        "no_noise": image + 1,
        "no_background_no_noise": 0.5 * image,
        "no_noise_no_background_superresolution": image**2,
        "no_noise_upinterpolation_2x": double,
        "no_noise_no_background_upinterpolation_2x": 0.5 * double,
        "position": columns[["y", "x"]],
        "position_radius": columns[["y", "x", "radius"]],
        "radius": 3.25,
        "small_radius": 0.7 * 3.25,
        "element_maps": rng.random((len(elements), *shape), dtype=np.float32),
    }
    facts = {
        "material": ("SrTiO3", "Pt")[index % 2],
        "zone_axis": ((0, 0, 0), (1, -1, 0))[index % 2],
        "elements": elements,
        "counts": 10.0 * (index + 1),
        "energy": np.float64(200e3),
    }
    return SimpleNamespace(
        image=image,
        targets=targets,
        columns=columns,
        sampling=0.1 + 0.01 * index,
        settings={"index": index},
        facts=facts,
        psnr=20.0 + index,
        snr=3.0,
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "load_recipe", lambda given: Recipe(**given))
    monkeypatch.setattr(simulation, "sample", draw)
    monkeypatch.setattr(library_write, "BLOCK", 4)
    monkeypatch.setattr(zarr_store, "BLOCK", 4)


RECIPE = {"name": "test", "noise": 0.2}


def write(out: Path, count: int = 6, **options: Any) -> Library:
    return open_library(write_library(out, RECIPE, count, shape=SHAPE, seed=5, **options))


def bytes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_comes_back(layout: Any, tmp_path: Path) -> None:
    library = write(tmp_path / "library", layout=layout, start=3)
    assert len(library) == 6
    for number, sample in enumerate(library):
        made = draw(Recipe(**RECIPE), number + 3, seed=5)
        # 8 bits keep 1/255 of a picture's range; a store keeps everything.
        for name, picture in {"image": made.image, **made.targets}.items():
            stored = sample.image if name == "image" else sample.targets[name]
            if isinstance(picture, np.ndarray):
                span = 1.0 if name.endswith("mask") else np.ptp(picture)
                step = 0.0 if layout == "zarr" else span / 255
                assert stored.dtype == np.float32
                np.testing.assert_allclose(stored, picture, atol=0.51 * step, rtol=1e-6)
            elif isinstance(picture, float):
                assert stored == picture
            else:
                pd.testing.assert_frame_equal(stored, picture)
        pd.testing.assert_frame_equal(sample.columns, made.columns)
        assert sample.sampling == made.sampling
        assert sample.settings["material"] == made.facts["material"]
        assert sample.settings["elements"] == made.facts["elements"]
        np.testing.assert_array_equal(sample.ideal, sample.targets["no_noise"])
        np.testing.assert_array_equal(library.image(number), sample.image)


def test_folders_are_those_of_the_public_library(tmp_path: Path) -> None:
    library = write(tmp_path / "library")
    folders = {each.name for each in library.folder.iterdir() if each.is_dir()}
    assert folders - {"columns", "elementMaps", "settings", ".blocks"} == PUBLIC
    for folder in PUBLIC:
        suffix = ".txt" if folder in ("position", "positionRadius", "params") else ""
        suffix = suffix or (".txt" if folder in ("radius", "smallradius") else ".png")
        assert sorted(f.name for f in (library.folder / folder).iterdir()) == [
            f"{i:05d}{suffix}" for i in range(6)
        ]
    picture = imageio.imread(library.folder / "noNoiseUpinterpolation2x" / "00000.png")
    assert (picture.dtype, picture.shape) == (np.uint8, (48, 64))
    rows = (library.folder / "position" / "00001.txt").read_text().splitlines()
    expected = library[1].columns[["y", "x"]].to_numpy()
    places = np.array([list(map(float, row.split())) for row in rows])
    np.testing.assert_allclose(places - 1, expected, rtol=0, atol=1e-12)
    numbers = list(map(float, (library.folder / "params" / "00001.txt").read_text().split()))
    assert len(numbers) == 13
    assert numbers[5] == 200.0


def test_a_store_opens_as_plain_zarr(tmp_path: Path) -> None:
    library = write(tmp_path / "library", layout="zarr")
    root: Any = zarr.open_group(library.folder / "samples.zarr", mode="r")
    assert root.metadata.zarr_format == 3
    assert root["image"].shape == (6, *SHAPE)
    assert (root["image"].chunks, root["image"].shards) == ((1, *SHAPE), (4, *SHAPE))
    np.testing.assert_array_equal(root["image"][4], draw(Recipe(**RECIPE), 4, seed=5).image)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stop", [0, 3, 5, 9])
def test_an_interrupted_library_resumes_to_the_same_bytes(
    layout: Any, stop: int, tmp_path: Path
) -> None:
    whole = bytes_of(write(tmp_path / "whole" / "library", 10, layout=layout).folder)
    out, cancel = tmp_path / "parts" / "library", CancelToken()

    def progress(done: int, total: int, message: str) -> None:
        assert 0 <= done <= total == 10
        if done == stop:
            cancel.cancel()

    with pytest.raises(Cancelled):
        write(out, 10, layout=layout, progress=progress, cancel=cancel)
    with pytest.raises(LibraryError, match="unfinished"):
        open_library(out)
    assert not list(out.rglob("*.partial*"))
    # What a process leaves that is killed in the middle of a file.
    place = out / ("samples.zarr/image/c" if layout == "zarr" else "image")
    place.mkdir(parents=True, exist_ok=True)
    (place / ".00000.png.999999999-0.partial").write_bytes(b"half")
    (place / f"0.{'5e' * 16}.partial").write_bytes(b"half")  # as Zarr names it
    seen: list[int] = []
    resumed = write(out, 10, layout=layout, progress=lambda done, *_: seen.append(done))
    assert bytes_of(resumed.folder) == whole
    assert seen[0] == stop // 4 * 4
    assert not list(out.rglob("*.partial"))


def test_a_library_has_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second one would remove what the first is writing, and mix its sums."""

    def again(done: int, *_: Any) -> None:
        with pytest.raises(OSError, match=r"library: another process is writing it"):
            write(tmp_path / "library", 4)

    write(tmp_path / "library", 4, progress=again).verify()
    write(tmp_path / "library", 5).verify()


def test_another_commit_continues_a_library_and_another_release_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(version: str) -> None:
        monkeypatch.setattr(library_write, "package_version", lambda: version)

    installed("0.3.1.dev4+g0a1b2c3")
    whole = bytes_of(write(tmp_path / "whole" / "library", 10).folder)
    out = tmp_path / "parts" / "library"
    write(out, 5)
    installed("0.3.1.dev9+g4d5e6f7.d20260101")
    assert bytes_of(write(out, 10).folder) == whole
    installed("0.3.2.dev1+g4d5e6f7")
    with pytest.raises(ValueError, match=r"another version \(0\.3\.1\.dev4\+g0a1b2c3, this is"):
        write(out, 12)
    assert bytes_of(out) == whole


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_library_grows_to_the_bytes_of_a_larger_one(layout: Any, tmp_path: Path) -> None:
    write(tmp_path / "grown" / "library", 5, layout=layout)
    grown = write(tmp_path / "grown" / "library", 10, layout=layout)
    whole = write(tmp_path / "whole" / "library", 10, layout=layout)
    assert bytes_of(grown.folder) == bytes_of(whole.folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damage_is_noticed_and_named(layout: Any, tmp_path: Path) -> None:
    library = write(tmp_path / "library", layout=layout)
    library.verify()
    store = "samples.zarr/no_noise/c/0/0/0" if layout == "zarr" else "noNoise/00002.png"
    damaged = library.folder / store
    data = bytearray(damaged.read_bytes())
    data[100] ^= 0xFF
    damaged.write_bytes(data)
    with pytest.raises(LibraryError, match=f"{store} is damaged"):
        library.verify()
    with pytest.raises(LibraryError, match="damaged"):
        open_library(library.folder, verify=True)
    with pytest.raises(LibraryError, match=r"no_?[nN]oise.*damaged"):
        list(open_library(library.folder))
    damaged.unlink()
    with pytest.raises(LibraryError, match=f"{store} is missing"):
        library.verify()


def test_a_damaged_index_does_not_open(tmp_path: Path) -> None:
    library = write(tmp_path / "library")
    with (library.folder / "index.csv").open("a") as file:
        file.write("00099,99\n")
    with pytest.raises(LibraryError, match=r"index\.csv"):
        open_library(library.folder)


def test_a_header_that_could_not_be_finished_is_no_other_file(tmp_path: Path) -> None:
    out = tmp_path / "library"
    out.mkdir()
    left = out / ".library.json.4194999-abcdef.partial"
    left.touch()
    write(out)
    assert not left.exists()
    (tmp_path / "library.json.partial").touch()
    with pytest.raises(ValueError, match="other files"):
        write(tmp_path)


@pytest.mark.parametrize("name", ["library.json", "SHA256SUMS"])
def test_files_that_are_no_texts_are_named(name: str, tmp_path: Path) -> None:
    library = write(tmp_path / "library")
    (library.folder / name).write_bytes(b"\xfd" + (library.folder / name).read_bytes())
    with pytest.raises(LibraryError, match=name.replace(".", r"\.")):
        open_library(library.folder)
    if name == "library.json":
        with pytest.raises(LibraryError, match="not the header of a library"):
            write(library.folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk_is_said_and_what_was_written_counts(
    layout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "library"
    written = 0
    target = "write_block"
    module = zarr_store if layout == "zarr" else library_folders
    genuine: Callable[..., Any] = getattr(module, target)

    def fill(*arguments: Any) -> Any:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return genuine(*arguments)

    monkeypatch.setattr(module, target, fill)
    with pytest.raises(OSError, match=r"the disk is full.*goes on where it stopped") as raised:
        write(out, 10, layout=layout)
    assert raised.value.errno == errno.ENOSPC
    assert str(out) in str(raised.value)
    seen: list[int] = []
    write(out, 10, layout=layout, progress=lambda done, *_: seen.append(done)).verify()
    assert seen[0] == 4


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    present = tmp_path / "a.txt"
    library_files.write_whole(present, b"before")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        library_files.write_whole(present, b"after")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert present.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 6}, "another seed"),
        ({"recipe": {"name": "test", "noise": 0.3}}, "another recipe"),
        ({"shape": (32, 32)}, "another shape"),
        ({"layout": "zarr"}, "another layout"),
        ({"count": 2}, "a library of 6 samples"),
    ],
)
def test_a_folder_keeps_one_library(options: Any, message: str, tmp_path: Path) -> None:
    before = bytes_of(write(tmp_path / "library").folder)
    given = {"recipe": RECIPE, "count": 6, "seed": 5, "shape": SHAPE} | options
    with pytest.raises(ValueError, match=message):
        write_library(tmp_path / "library", **given)
    assert bytes_of(tmp_path / "library") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"workers": 0}, "workers=0"),
        ({"start": -1}, "start=-1"),
        ({"layout": "tar"}, "layout='tar'"),
        ({"shape": (4, 32)}, "shape="),
    ],
)
def test_arguments_out_of_range_are_named(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_library(
            **({"out": tmp_path / "x", "recipe": RECIPE, "count": 2, "shape": SHAPE} | options)
        )
    assert not (tmp_path / "x").exists()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="other files"):
        write_library(tmp_path, RECIPE, 2, shape=SHAPE)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_index_finds_samples(tmp_path: Path) -> None:
    library = write(tmp_path / "library", 10)
    with (library.folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"{i:05d}" for i in range(10)]
    assert [row["zone_axis"] for row in rows[:2]] == ["", "1 -1 0"]
    assert float(rows[2]["field_of_view"]) == pytest.approx(32 * 0.12)
    table = library.table
    assert select_samples(table, material="srtio").tolist() == [0, 2, 4, 6, 8]
    for axis in ("1 -1 0", "1-10", "[1 -1 0]"):
        assert select_samples(table, zone_axis=axis).tolist() == [1, 3, 5, 7, 9]
    assert select_samples(table, zone_axis="110").tolist() == []
    assert select_samples(table, field_of_view=(32 * 0.12, 32 * 0.14)).tolist() == [2, 3, 4]
    assert select_samples(table, dose=(None, 30), psnr=(21, None)).tolist() == [1, 2]
    assert library[7].settings["counts"] == table["dose"][7]


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Folders as the public library has them: other suffixes, gaps, numbers for settings."""
    folder = tmp_path / "TEM-ImageNet-v1.3-master"
    pictures = {"image": ".png", "circularMask": ".png", "noNoise": ".tif", "README": ".md"}
    for name in (*pictures, "params", "positionRadius", "smallradius"):
        (folder / name).mkdir(parents=True)
    for number in (3, 1, 12):
        for name, suffix in pictures.items():
            grey = np.full((16, 20), number, np.uint8)
            if suffix == ".md":
                continue
            imageio.imwrite(folder / name / f"{number:05d}{suffix}", grey)
    values = [11.76, 0, 0, 0, 0, 200, 0, 24, 0.9, 16, 30, 0.29, 0.29]
    (folder / "params" / "00001.txt").write_text("".join(f" {v:.17g} \n" for v in values))
    (folder / "positionRadius" / "00001.txt").write_text(" 4.5 6.25 2 \n 8 9 2 \n")
    (folder / "smallradius" / "00001.txt").write_text(" 1.4 \n")
    return folder


def test_the_public_library_opens(public: Path) -> None:
    library = open_library(public)
    assert library.table["name"].tolist() == ["00001", "00003", "00012"]
    assert select_samples(library.table, field_of_view=(10, 12)).tolist() == [0]
    assert select_samples(library.table, material="Pt").tolist() == []
    sample = library[0]
    np.testing.assert_allclose(sample.image, 1 / 255, rtol=1e-6)
    assert sample.sampling == pytest.approx(11.76 / 20)
    assert (sample.settings["energy"], sample.settings["semiangle"]) == (200e3, 24)
    assert sample.settings["source_size"] == 0.9
    assert set(sample.targets) == {"circular_mask", "no_noise", "position_radius", "small_radius"}
    np.testing.assert_allclose(sample.ideal, 1 / 255, rtol=1e-6)
    # Rows and columns of the public library count from 1.
    assert sample.columns[["y", "x", "radius"]].to_numpy().tolist() == [[3.5, 5.25, 2], [7, 8, 2]]
    np.testing.assert_allclose(sample.columns["y_angstrom"], np.array([3.5, 7]) * 11.76 / 20)
    bare = library[2]
    assert (bare.sampling, len(bare.columns), bare.settings) == (None, 0, {})
    with pytest.raises(LibraryError, match="no checksums"):
        library.verify()


def test_libraries_of_the_earlier_form_open_alike(tmp_path: Path) -> None:
    """JSON in `params`, and positions that count from 0."""
    new, old = (write(tmp_path / name) for name in ("new", "old"))
    sums = (old.folder / "SHA256SUMS").read_text().splitlines()
    for settings in sorted((old.folder / "settings").iterdir()):
        name = settings.stem
        (old.folder / "params" / f"{name}.txt").write_text(settings.read_text())
        settings.unlink()
        for table in ("position", "positionRadius"):
            file = old.folder / table / f"{name}.txt"
            rows = [line.split() for line in file.read_text().splitlines()]
            moved = [[str(float(a) - 1), str(float(b) - 1), *rest] for a, b, *rest in rows]
            file.write_text("".join(" ".join(row) + "\n" for row in moved))
    changed = ("params/", "position/", "positionRadius/", "settings/")
    kept = [line for line in sums if not line.split("  ")[1].startswith(changed)]
    (old.folder / "SHA256SUMS").write_text("\n".join(kept) + "\n")
    for first, second in zip(new, open_library(old.folder), strict=True):
        assert first.settings == second.settings
        np.testing.assert_array_equal(first.image, second.image)
        for table in ("position", "position_radius"):
            np.testing.assert_allclose(
                first.targets[table], second.targets[table], rtol=0, atol=1e-12
            )


def test_positions_that_are_no_numbers_are_said(public: Path) -> None:
    (public / "positionRadius" / "00001.txt").write_text("here there 2\n")
    with pytest.raises(LibraryError, match=r"positions of sample 00001: 'here there 2'"):
        open_library(public).sample(0)


def test_the_folder_above_a_library_opens_too(public: Path) -> None:
    assert open_library(public.parent).folder == public


def test_what_is_no_library_is_said(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no such folder"):
        open_library(tmp_path / "nowhere")
    with pytest.raises(LibraryError, match="no library"):
        open_library(tmp_path)
    (tmp_path / "image").mkdir()
    with pytest.raises(LibraryError, match="no pictures"):
        open_library(tmp_path)
    (tmp_path / "image" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(LibraryError, match=r"1\.png: damaged"):
        open_library(tmp_path).sample(0)
    with pytest.raises(IndexError, match="sample 1: the library has 1"):
        open_library(tmp_path).sample(1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_blocks_are_made_again(layout: Any, tmp_path: Path) -> None:
    library = write(tmp_path / "library", 6, layout=layout)
    before = bytes_of(library.folder)
    pictures = "samples.zarr/image/c" if layout == "zarr" else "image"
    for damaged in (*(library.folder / pictures).rglob("*"), library.folder / "SHA256SUMS"):
        if damaged.is_file():
            damaged.write_bytes(damaged.read_bytes()[:-9] + b"x")
    (library.folder / ".blocks" / "00001.json").write_bytes(b"{")
    again = write(tmp_path / "library", 6, layout=layout)
    again.verify()
    assert bytes_of(again.folder) == before


@pytest.mark.slow
def test_workers_stop_at_once_with_their_parent(tmp_path: Path) -> None:
    """Cancelled, they end; killed, it leaves none behind."""
    code = (
        "import sys\n"
        "from napari_atomseg.simulation.library.read import write_library\n"
        "if __name__ == '__main__':\n"
        f"    write_library({str(tmp_path / 'library')!r},\n"
        "        'columns', 10_000, shape=(64, 64), workers=2,\n"
        "        progress=lambda *_: print('at work', flush=True))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    for _ in range(2):  # the first line is said before there are workers
        assert b"at work" in parent.stdout.readline()
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert workers
    parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=5)
    parent.wait()
    parent.stdout.close()
    assert not alive
