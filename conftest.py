"""Shared by all tests. The examples in the README and in docs/ are tests too.

Python blocks of a page run in order in one namespace, in a folder of their own. In `bash` blocks
the `napari-atomseg` commands run; commands that install or set up are only recognised. A `yaml`
block that begins with `# name.yaml` is written to that file.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

# Nothing is read from or written to the user's own folders; set before anything looks.
_home = tempfile.TemporaryDirectory(prefix="napari-atomseg-tests-", ignore_cleanup_errors=True)
for _variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ[_variable] = str(Path(_home.name) / _variable.split("_")[1].lower())
os.environ["NAPARI_ATOMSEG_CACHE"] = str(Path(_home.name) / "atomseg")
os.environ["NAPARI_CONFIG"] = str(Path(_home.name) / "napari.yaml")
os.environ["MPLBACKEND"] = "Agg"
# One thread in each worker of pytest-xdist, which start with these variables: threads that wait for
# one another spin. Numba sets the threads of PyTorch too, whatever OpenMP was asked for.
os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"

# A law is tried on fewer examples by `make test` than by `make test-slow`.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")

SETUP_COMMANDS = {"cd", "conda", "git", "make", "pip", "sudo", "uv"}


def run_commands(example: Example) -> None:
    """Run the napari-atomseg commands of a bash block, each in this process."""
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in SETUP_COMMANDS:
            continue
        assert words[0] == "napari-atomseg", f"not a command of this project: {line}"
        run_command(words[1:])


def run_command(arguments: list[str]) -> None:
    """Run one napari-atomseg command, which must succeed."""
    from typer.testing import CliRunner

    from napari_atomseg.cli import app

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"{arguments}\n{result.output}\n{result.exception!r}"


def write_file(example: Example) -> None:
    """Write a yaml block to the file that its first line names."""
    name = example.parsed.splitlines()[0].removeprefix("#").strip()
    Path(name).write_text(example.parsed, encoding="utf-8")


def _renew_application() -> None:
    """Let napari begin anew: tests of panels clear its caches, not the commands it registered."""
    if "napari._app_model._app" in sys.modules:
        from app_model import Application
        from napari._qt._qapp_model.qactions import init_qactions
        from napari.plugins import _initialize_plugins

        if Application.get_app("napari") is not None:
            Application.destroy("napari")
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()


def _enter(namespace: dict[str, Any]) -> None:
    _renew_application()
    namespace["_start"] = Path.cwd()
    namespace["_folder"] = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    os.chdir(namespace["_folder"].name)


def _leave(namespace: dict[str, Any]) -> None:
    if "napari" in sys.modules:
        sys.modules["napari"].Viewer.close_all()
    os.chdir(namespace["_start"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("bash", run_commands),
        CodeBlockParser("yaml", write_file),
    ],
    patterns=["*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The examples of the pages of docs/ are slow ones together; the README's are not."""
    for item in items:
        if item.path.is_relative_to(config.rootpath / "docs"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave modules out of garbage collections: each closed viewer needs a full one."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folders of the tests."""
    _home.cleanup()


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return Path(__file__).parent
