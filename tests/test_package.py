"""The package as a whole: cheap to import, layered, complete when built, honest in its metadata."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
import yaml

import napari_atomseg

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


def test_versions_agree(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert napari_atomseg.__version__ == project["version"] == citation["version"]


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
        "lightning_fabric": "lightning-fabric",
        "lazy_loader": "lazy-loader",
    }
    imported = imported_libraries(root / "src")
    assert {"torch", "napari", "numpy"} <= imported
    assert not {name for name in imported if other.get(name, name).lower() not in declared}


def test_the_wheel_carries_manifest_weights_and_recipes(root: Path, tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
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
