"""The package as a whole: cheap to import, layered, complete when built, honest in its metadata."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

import napari_atomseg
from napari_atomseg._shared.files import package_version, release_of

HEAVY = {"torch", "numpy", "scipy", "pandas", "skimage", "matplotlib", "ase", "napari", "qtpy"}
HEAVY |= {"PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "pydantic"}


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)


def processor_seconds(code: str) -> float:
    """Processor time that a fresh interpreter takes for some code; other programs cost none."""
    told = f"import time\nbegin = time.process_time()\n{code}\nprint(time.process_time() - begin)"
    return float(run_python("-c", told).stdout)


def test_importing_takes_less_than_a_fifth_of_a_second() -> None:
    assert min(processor_seconds("import napari_atomseg") for _ in range(5)) < 0.2


def test_importing_loads_no_heavy_library() -> None:
    code = "import json, sys, napari_atomseg; print(json.dumps(list(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run_python("-c", code).stdout)}
    assert "napari_atomseg" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", napari_atomseg.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    assert name in dir(napari_atomseg)
    assert getattr(napari_atomseg, name).__doc__


@pytest.mark.slow
def test_tests_that_fail_or_end_their_process_are_named(root: Path, tmp_path: Path) -> None:
    """Of the processes that `make test` shares the tests out to, none goes unnoticed."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    (options,) = re.findall(r"^PYTEST := .* -m pytest (.+)$", makefile, re.MULTILINE)
    for name, code in (("good", "assert 1"), ("fails", "assert 0"), ("ends", "os._exit(0)")):
        lines = f"import os\n\ndef test_{name}():\n    {code}\n"
        (tmp_path / f"test_{name}.py").write_text(lines, encoding="utf-8")
    outside = {name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", *options.split(), "--numprocesses=2"],
        env={**outside, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1
    for name in ("fails", "ends"):
        assert f"FAILED test_{name}.py::test_{name}" in done.stdout


def test_unknown_names_raise_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = napari_atomseg.no_such_name


def test_rooms_import_in_one_direction_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(root)
    assert lint_imports(config_filename=str(root / "pyproject.toml"), cache_dir=None) == 0


def vcs_version(project: Path) -> str:
    """Version that a build of a folder has, by the settings of its pyproject.toml."""
    from hatch_vcs.version_source import VCSVersionSource

    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)["tool"]["hatch"]["version"]
    with warnings.catch_warnings():
        # A shallow clone, or an archive that git did not make: a version comes out of either.
        warnings.simplefilter("ignore", UserWarning)
        return VCSVersionSource(str(project), settings).get_version_data()["version"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_version_comes_out_of_every_checkout_and_archive(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SETUPTOOLS_SCM_PRETEND_VERSION", raising=False)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # where a hook runs the tests
        monkeypatch.delenv(name, raising=False)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")

    def git(folder: Path, *words: str) -> None:
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)

    def exported(name: str) -> Path:
        git(checkout, "archive", "--output", str(tmp_path / "archive.zip"), "HEAD")
        with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
            archive.extractall(tmp_path / name)
        return tmp_path / name

    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", ".git_archival.txt", ".gitattributes"):
        shutil.copy(root / name, checkout)
    copied = vcs_version(checkout)
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "one")
    untagged, unnamed = vcs_version(checkout), vcs_version(exported("unnamed"))
    git(checkout, "tag", "v1.2.0")
    tagged = vcs_version(checkout), vcs_version(exported("tagged"))
    git(checkout, "commit", "--quiet", "--message", "two", "--allow-empty")
    git(checkout, "tag", "study-3")  # not a version
    later = vcs_version(checkout), vcs_version(exported("later"))
    git(tmp_path, "clone", "--quiet", "--depth=1", checkout.as_uri(), "shallow")
    shallow = vcs_version(tmp_path / "shallow")

    assert tagged == ("1.2.0", "1.2.0")
    for version in later:
        assert re.fullmatch(r"1\.2\.1\.dev1\+g[0-9a-f]+", version)
    # Without a tag there is no telling which release comes next: below all of them.
    assert release_of(copied) == release_of(unnamed) == ()
    for version in (untagged, shallow):
        assert re.fullmatch(r"0\.0\.1\.dev1\+g[0-9a-f]+", version)


def test_the_version_is_the_one_that_was_installed() -> None:
    assert napari_atomseg.__version__ == package_version() == metadata.version("napari-atomseg")


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("1.2.0", (1, 2)),
        ("1.2", (1, 2)),
        ("1.2.3rc1", (1, 2, 3)),
        ("1.2.0.dev5+gabcdef0.d20260101", (1, 2)),
        ("10.0.1.post2", (10, 0, 1)),
        ("0.0.0", ()),
        ("unknown", ()),
    ],
)
def test_commits_on_the_way_to_a_release_belong_to_it(version: str, release: tuple) -> None:
    assert release_of(version) == release


def test_dependencies_have_floors_and_no_caps(root: Path) -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        assert {bound.operator for bound in Requirement(line).specifier} == {">="}, line
    hard = {Requirement(line).name.lower() for line in project["dependencies"]}
    assert not hard & {"napari", "pyqt5", "pyqt6", "pyside2", "pyside6", "rosettasciio", "abtem"}


def imported_libraries(folder: Path) -> set[str]:
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"napari_atomseg"}


@pytest.mark.slow
def test_every_library_that_is_imported_is_declared(root: Path) -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {Requirement(line).name.lower() for line in lines}
    # Those of which the name to import is another.
    other = {
        "skimage": "scikit-image",
        "yaml": "pyyaml",
        "rsciio": "rosettasciio",
        "PIL": "pillow",
        "google_crc32c": "google-crc32c",
        "lightning_fabric": "lightning-fabric",
        "lazy_loader": "lazy-loader",
    }
    imported = imported_libraries(root / "src")
    assert {"torch", "napari", "numpy"} <= imported
    assert not {name for name in imported if other.get(name, name).lower() not in declared}


@pytest.mark.slow
def test_the_wheel_carries_manifest_weights_and_recipes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatchling.builders.wheel import WheelBuilder

    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "9.8.7")
    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert Path(wheel).name == "napari_atomseg-9.8.7-py3-none-any.whl"
    assert {"napari_atomseg/napari.yaml", "napari_atomseg/weights/registry.json"} <= set(sizes)
    carried = {
        Path(name).name: size
        for name, size in sizes.items()
        if name.startswith("napari_atomseg/weights/files/")
    }
    assert carried == {path.name: path.stat().st_size for path in (root / "models").iterdir()}
    assert sum(carried.values()) < 25e6
    assert any(name.endswith("share/napari-atomseg/recipes/stem-hr.yaml") for name in sizes)
    assert any(name.endswith("licenses/LICENSE") for name in sizes)
    assert not any("__pycache__" in name or name.startswith("tests") for name in sizes)


def pages(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def test_links_between_pages_lead_somewhere(root: Path) -> None:
    raw = "https://raw.githubusercontent.com/napari-atomseg/napari-atomseg/main/"
    blob = "https://github.com/napari-atomseg/napari-atomseg/blob/main/"
    lost = []
    for page in pages(root):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path = page.parent / target.split("#")[0]
            for address in (raw, blob):
                if target.startswith(address):
                    path = root / target.removeprefix(address).split("#")[0]
                    break
            else:
                if target.startswith(("http://", "https://", "#", "mailto:")):
                    continue
            if not path.exists():
                lost.append(f"{page.relative_to(root)}: {target}")
    assert not lost
