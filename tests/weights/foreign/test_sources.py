from __future__ import annotations

import gzip
import tarfile
import tracemalloc
from importlib import import_module
from pathlib import Path

import pytest

from napari_atomseg.networks.card import WeightsError
from napari_atomseg.weights.foreign import sources
from napari_atomseg.weights.foreign.sources import read_files

files = import_module("bundles")
archive, wanted = files.archive, files.wanted

PATH = "pack/models/one/variables/variables.index"
CONTENT = b"these are the variables" * 100
WANTED = wanted(PATH, CONTENT)


def linked(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"top-1.0/{PATH}")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("start", ["", "pack", "pack/models", "pack/models/one/variables"])
def test_a_folder_is_read_from_any_level(tmp_path: Path, start: str) -> None:
    place = tmp_path / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert read_files(tmp_path / start, [WANTED]) == [CONTENT]


def test_the_folder_that_an_archive_was_unpacked_into_is_read(tmp_path: Path) -> None:
    place = tmp_path / "top-1.0" / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert read_files(tmp_path, [WANTED]) == [CONTENT]


def test_an_archive_is_read_and_nothing_is_unpacked(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.tar.gz", {"top-1.0/../../evil": b"x", f"top-1.0/{PATH}": CONTENT})
    assert read_files(file, [WANTED]) == [CONTENT]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    file = archive(tmp_path / "a.tar.gz", {}, link=linked(kind, "/etc/passwd"))
    with pytest.raises(WeightsError, match="not a regular file"):
        read_files(file, [WANTED])


def test_a_link_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT)
    place = tmp_path / "inside" / PATH
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    with pytest.raises(WeightsError, match="leads out of"):
        read_files(tmp_path / "inside", [WANTED])


@pytest.mark.parametrize(
    ("content", "words"),
    [(CONTENT[:-1], "the published file has"), (CONTENT[:-1] + b"!", "wrong SHA-256")],
)
def test_another_file_of_that_name_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = archive(tmp_path / "a.tar.gz", {f"top/{PATH}": content})
    with pytest.raises(WeightsError, match=words):
        read_files(file, [WANTED])
    place = tmp_path / "top" / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_files(tmp_path / "top", [WANTED])


def test_a_bomb_is_given_up_without_unpacking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_UNPACKED", 2**22)
    file = tmp_path / "a.tar.gz"
    info = tarfile.TarInfo("top/zeros")
    info.size = 2**40
    with gzip.open(file, "wb") as out:
        out.write(info.tobuf())
        for _ in range(8):
            out.write(bytes(2**20))
    with pytest.raises(WeightsError, match="MB unpacked"):
        read_files(file, [WANTED])


def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("top/long")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    file = tmp_path / "a.tar.gz"
    with gzip.open(file, "wb") as out:
        out.write(info.tobuf(format=tarfile.GNU_FORMAT) + bytes(2**12))
    tracemalloc.start()
    with pytest.raises(WeightsError):
        read_files(file, [WANTED])
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b broken"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.tar.gz"
    file.write_bytes(content)
    with pytest.raises(WeightsError):
        read_files(file, [WANTED])


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.tar.gz", {f"top/{PATH}": CONTENT})
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(WeightsError):
        read_files(file, [WANTED])


def test_too_many_files_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_MEMBERS", 3)
    file = archive(tmp_path / "a.tar.gz", {f"top/{n}": b"" for n in range(5)})
    with pytest.raises(WeightsError, match="more than 3 files"):
        read_files(file, [WANTED])


def test_a_source_without_the_file_is_named(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.tar.gz", {"top/other": b""})
    for source in (file, tmp_path):
        with pytest.raises(WeightsError, match="index is not in it"):
            read_files(source, [WANTED])
    with pytest.raises(WeightsError, match="no such folder"):
        read_files(tmp_path / "nothing", [WANTED])
