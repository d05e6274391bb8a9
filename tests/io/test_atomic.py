"""Files that are there whole or not at all."""

import errno
from pathlib import Path

import pytest

from napari_atomseg._shared.files import remove_partial, whole_file


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
    kept = ["a[1].bin", ".a[1].bin.7", ".a1.bin.7.partial", ".b.bin.7.partial"]
    for name in [*kept, ".a[1].bin.7.partial", ".a[1].bin.12.partial"]:
        (tmp_path / name).write_bytes(b"x")
    remove_partial(tmp_path / "a[1].bin")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(kept)
