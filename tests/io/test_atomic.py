"""Files that are there whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_atomseg._shared.files import (
    only_writer,
    remove_partial,
    remove_partials,
    whole_file,
    whole_folder,
)
from napari_atomseg._shared.outputs import check_outputs


def test_a_file_appears_when_its_block_succeeds(tmp_path):
    path = tmp_path / "a.bin"
    with whole_file(path) as partial:
        partial.write_bytes(b"new")
        assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"new"


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail():
        with whole_file(path) as partial:
            partial.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_a_write_that_fails_names_the_file(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match=r"device'?: '.*a\.bin'$") as caught, whole_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    absent = tmp_path / "absent" / "a.bin"
    with pytest.raises(FileNotFoundError) as caught, whole_file(absent) as partial:
        partial.write_bytes(b"new")
    assert caught.value.filename == str(absent)
    # Libraries name the absolute path.
    with pytest.raises(FileNotFoundError) as caught, whole_file("absent/a.bin") as partial:
        partial.absolute().write_bytes(b"new")
    assert caught.value.filename == str(Path("absent/a.bin"))


def test_what_fails_with_another_file_keeps_its_message(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a.bin"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")
    with pytest.raises(OSError, match=r"^damaged$"), whole_file(tmp_path / "a.bin"):
        raise OSError("damaged")


def test_what_killed_processes_left_of_a_file_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = f".a[1].bin.{os.getpid()}-0.partial"  # of an earlier process with this number
    kept = [
        "a[1].bin",
        ".a[1].bin.7",
        f".a1.bin.{ended.pid}-0.partial",
        f".b.bin.{ended.pid}-0.partial",
        f".a[1].bin.{os.getppid()}-0.partial",  # its process is alive
    ]
    for name in [*kept, f".a[1].bin.{ended.pid}-0.partial", mine]:
        (tmp_path / name).write_bytes(b"x")
    with whole_file(tmp_path / "a[1].bin") as partial:
        partial.write_bytes(b"whole")
        remove_partial(tmp_path / "a[1].bin")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(kept)
    assert (tmp_path / "a[1].bin").read_bytes() == b"whole"


def test_a_folder_that_a_killed_process_moved_aside_comes_back(tmp_path):
    path, moved = tmp_path / "a.zarr", tmp_path / ".a.zarr.999999999-0.old"
    moved.mkdir()
    (moved / "zarr.json").write_text("old", encoding="utf-8")
    (tmp_path / ".a.zarr.999999999-1.partial" / "c").mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), whole_folder(path):
        raise ZeroDivisionError
    assert (path / "zarr.json").read_text(encoding="utf-8") == "old"
    with whole_folder(path) as partial:
        remove_partial(path)  # not by another thread
        (partial / "zarr.json").write_text("new", encoding="utf-8")
    assert (path / "zarr.json").read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_moved_back_is_not_removed(tmp_path, monkeypatch):
    path, moves, genuine = tmp_path / "a.zarr", [], Path.replace
    path.mkdir()
    (path / "zarr.json").write_text("old", encoding="utf-8")

    def replace(self, target):
        moves.append(target)
        if len(moves) > 1:  # the folder above has become read-only
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return genuine(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError), whole_folder(path) as partial:
        (partial / "zarr.json").write_text("new", encoding="utf-8")
    (aside,) = tmp_path.iterdir()
    assert (aside / "zarr.json").read_text(encoding="utf-8") == "old"
    monkeypatch.undo()
    remove_partial(path)
    assert (path / "zarr.json").read_text(encoding="utf-8") == "old"


def test_only_what_nobody_writes_any_more_is_removed_below_a_folder(tmp_path):
    place = tmp_path / "image" / "c"
    place.mkdir(parents=True)
    alive = place / f".0.png.{os.getppid()}-0.partial"
    zarr, ended = place / f"0.{'5e' * 16}.partial", place / ".1.png.999999999-0.partial"
    for path in (alive, zarr, ended):
        path.write_bytes(b"half")
    with whole_file(place / "2.png") as partial:
        partial.write_bytes(b"whole")
        remove_partials(tmp_path)
        assert zarr.exists()
        assert ended.exists()
        remove_partials(tmp_path, below=True)
    assert set(place.iterdir()) == {alive, place / "2.png"}


def test_one_writer_at_a_time_in_all_processes(tmp_path):
    lock = tmp_path / ".a.lock"
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from napari_atomseg._shared.files import only_writer\n"
        f"with only_writer(Path({str(lock)!r}), Path('a')):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        refused = pytest.raises(OSError, match=r"^a: another process is writing it")
        with refused, only_writer(lock, Path("a")):
            pass
        other.kill()
    # The lock of a killed process holds nobody.
    refused = pytest.raises(OSError, match="another process")
    with only_writer(lock, Path("a")), refused, only_writer(lock, Path("a")):
        pass
    assert not lock.exists()


def test_threads_that_write_one_path_do_not_disturb_each_other(tmp_path):
    path, both = tmp_path / "a.bin", threading.Barrier(2)

    def write(text: bytes) -> None:
        for _ in range(20):
            with whole_file(path) as partial:
                partial.write_bytes(text)
                both.wait(timeout=10)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, text) for text in (b"one" * 1000, b"two" * 1000)]:
            done.result()
    assert path.read_bytes() in (b"one" * 1000, b"two" * 1000)
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_regular_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", os.devnull):
        with pytest.raises(OSError, match=name), whole_file(tmp_path / name) as partial:
            partial.write_bytes(b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_outputs_are_neither_inputs_nor_each_other(tmp_path):
    (tmp_path / "a.csv").write_text("x", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "hard.csv")
    for same in ("a.csv", "link.csv", "hard.csv", "folder/../a.csv"):
        with pytest.raises(ValueError, match="would overwrite"):
            check_outputs([tmp_path / same], [tmp_path / "a.csv", None])
    with pytest.raises(ValueError, match="several results"):
        check_outputs([tmp_path / "new.csv", None, tmp_path / "." / "new.csv"])
    check_outputs([tmp_path / "new.csv", tmp_path / "b.csv"], [tmp_path / "a.csv"])
