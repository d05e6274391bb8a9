"""Writing a library from the command line, as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_atomseg.cli import app
from napari_atomseg.simulation.library.read import open_library

OPTIONS = ["--recipe", "temimagenet", "--shape", "32", "32", "--count", "100"]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_killed_command_is_resumed_by_two_processes(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole" / "library", tmp_path / "parts" / "library"
    parts.parent.mkdir()
    command = [sys.executable, "-m", "napari_atomseg", "library", str(parts), *OPTIONS]
    with subprocess.Popen(command) as process:
        give_up = time.monotonic() + 100
        while not list(parts.glob(".blocks/*.json")) and time.monotonic() < give_up:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    assert process.returncode != 0
    for folder, workers in ((parts, "2"), (whole, "1")):
        arguments = ["library", str(folder), *OPTIONS, "--workers", workers]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert "100 samples" in result.output
    assert contents(parts) == contents(whole)
    assert len(open_library(parts, verify=True)) == 100


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    arguments = ["library", str(tmp_path), *OPTIONS]
    for change, message in (
        ([], "holds other files"),
        (["--layout", "tar"], "layout='tar'"),
        (["--recipe", "unobtainium"], "unobtainium"),
        (["--workers", "0"], "workers=0"),
    ):
        result = CliRunner().invoke(app, [*arguments, *change])
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
