"""What stands beside the package: changelog fragments, benchmarks, scripts and the drawn map."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FRAGMENTS = [p for p in sorted((ROOT / "changelog.d").glob("*")) if p.name != "README.md"]
SCRIPTS = [
    path
    for folder in ("benchmarks", "docs/scripts", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def configuration() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def loaded(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_changelog_fragments_are_well_formed(path: Path) -> None:
    types = "|".join(each["directory"] for each in configuration()["towncrier"]["type"])
    assert re.fullmatch(rf"(\d+|\+[a-z0-9-]+)\.({types})\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert text.strip().endswith(".")
    assert not text.startswith((" ", "#", "-", "*   "))
    assert "\n\n" not in text.strip()


def test_the_changelog_has_the_mark_below_which_releases_are_written() -> None:
    settings = configuration()["towncrier"]
    text = (ROOT / settings["filename"]).read_text(encoding="utf-8")
    assert text.count(settings["start_string"]) == 1


def test_the_changelog_of_a_release_has_every_fragment() -> None:
    """What `towncrier build` would write, without git and without writing it."""
    words = ("towncrier", "build", "--draft", "--version", "9.8.7", "--date", "2026-01-31")
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, check=True, capture_output=True, text=True
    )
    written = "".join(done.stdout.split())
    assert "##[9.8.7]-2026-01-31" in written
    for path in FRAGMENTS:
        assert "".join(path.read_text(encoding="utf-8").split()) in written, path.name


def test_citation_and_zenodo_describe_the_same_work() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["type"] == zenodo["upload_type"] == "software"
    assert citation["title"] == zenodo["title"]
    assert citation["title"].startswith(f"{project['name']}: ")
    assert citation["license"] == zenodo["license"] == project["license"]
    assert citation["keywords"] == zenodo["keywords"]
    assert citation["repository-code"] == project["urls"]["Homepage"]
    authors = [author["name"] for author in citation["authors"]]
    assert authors == [author["name"] for author in zenodo["creators"]]
    assert authors == [author["name"] for author in project["authors"]]
    related = {(each["scheme"], each["identifier"]) for each in zenodo["related_identifiers"]}
    dois = {("doi", each["doi"]) for each in citation["references"]}
    assert all(re.fullmatch(r"10\.\d{4,}/\S+", doi) for _, doi in dois)
    assert related == dois | {("url", citation["repository-code"])}
    # The version is the tag's: a number that is written twice is wrong sooner or later.
    assert not {"version", "date-released"} & citation.keys()
    assert not {"version", "publication_date"} & zenodo.keys()


def names_of_ours(path: Path) -> Iterator[tuple[str, str]]:
    """Modules of ours, and the names that a script imports from them."""
    ours = ("napari_atomseg", "benchmarks")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ours:
            yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_import_what_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    for module, name in names_of_ours(path):
        if module.startswith("benchmarks"):
            # Without importing the benchmark, whose libraries may be no dependencies of ours.
            folder = ROOT.joinpath(*module.split("."))
            file = folder.with_suffix(".py") if not folder.is_dir() else folder / "__init__.py"
            assert (folder / f"{name}.py").exists() or name in file.read_text(encoding="utf-8")
        elif not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")


@pytest.mark.slow
def test_benchmarks_are_listed_with_a_sentence_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    runner = importlib.import_module("benchmarks.runner")
    assert len(runner.themes()) > 5
    for theme in runner.themes():
        every = runner.benchmarks(theme)
        assert every, theme
        assert all(each.summary.endswith(".") for each in every)
        assert runner.chosen(theme, "all") == every
    with pytest.raises(ValueError, match="no theme 'speeed'; there are detection"):
        runner.chosen("speeed", "all")
    with pytest.raises(ValueError, match="no benchmark 'network' of speed; there are"):
        runner.chosen("speed", "network")


def test_a_benchmark_runs_from_its_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    runner = importlib.import_module("benchmarks.runner")
    words = "localization bounds --levels 20 --side 4 --pixels --threads 0"
    runner.main(words.split())
    printed = capsys.readouterr()
    assert "| 20 | single | 16 |" in printed.out
    assert "localization bounds: " in printed.err


def test_the_map_of_the_rooms_shows_the_rooms_of_today() -> None:
    drawn = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    script = loaded(ROOT / "docs" / "scripts" / "architecture.py")
    command = "python docs/scripts/draw.py architecture"
    assert drawn == script.picture(), f"the map is stale: run {command}"


def test_the_structure_of_a_package_is_counted(tmp_path: Path) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text('"""A house."""\nfrom house.hall import (\n    Door,\n)\n')
    (package / "hall.py").write_text("import math\n\n\nclass Door:\n    pass\n")
    (package / "attic.py").write_text("from house import hall\n\n\nclass Door:\n    pass\n")
    (package / "cellar.py").write_text("from house.attic import Door\n")
    figures = dict(loaded(ROOT / "scripts" / "structure.py").figures(package))
    assert figures["modules"] == "4"
    assert figures["lines"] == "15"
    assert figures["import lines"] == "6"
    # The hall has two importers, the attic one.
    assert figures["modules with one importer"] == "1 (5 lines)"
    assert figures["class names defined more than once"] == "1: Door × 2"
