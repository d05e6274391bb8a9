"""The registry, and the tool that rebuilds it from the files of models/."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_atomseg import __version__
from napari_atomseg.networks.files import load_weights, read_card, save_weights
from napari_atomseg.weights import DEFAULT
from napari_atomseg.weights.__main__ import main
from napari_atomseg.weights.registry import (
    LARGEST_PUBLISHED,
    REGISTRY,
    load_registry,
    read_registry,
    rebuilt_registry,
)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A registry without models, with two mirrors."""
    path = tmp_path / "registry.json"
    mirrors = ["https://one.example/v{version}", "https://two.example/models/"]
    path.write_text(json.dumps({"schema_version": 1, "mirrors": mirrors, "models": []}))
    return path


def rebuild(registry: Path, folder: Path, *more: str) -> int:
    return main(["--registry", str(registry), "--folder", str(folder), *more])


@pytest.mark.slow
def test_registry_and_files_agree(root: Path) -> None:
    registry = load_registry()
    assert registry == rebuilt_registry(registry, root / "models"), (
        "run python -m napari_atomseg.weights"
    )
    assert main(["--check"]) == 0


def test_every_model_is_small_and_the_default_comes_first(root: Path) -> None:
    assert next(iter(read_registry())) == DEFAULT
    files = [path for path in (root / "models").iterdir() if path.is_file()]
    assert {file.suffix for file in files} == {".safetensors"}
    assert all(file.stat().st_size <= LARGEST_PUBLISHED for file in files)


def test_no_weights_are_stored_twice(root: Path) -> None:
    assert not list((root / "src").rglob("*.safetensors"))


def test_every_published_model_has_addresses_of_the_web() -> None:
    for entry in read_registry().values():
        assert len(entry.urls) >= 2
        assert all(url.startswith("https://") for url in entry.urls)
        assert all(url.endswith(f"/{entry.file}") for url in entry.urls)


def test_a_new_file_is_registered_and_a_lost_one_forgotten(
    registry: Path, weights_file: Path
) -> None:
    folder = weights_file.parent
    assert rebuild(registry, folder, "--check") == 1
    assert load_registry(registry).models == ()
    assert rebuild(registry, folder) == rebuild(registry, folder, "--check") == 0
    entry = read_registry(registry)["tiny"]
    assert entry.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert entry.urls == (
        f"https://one.example/v{__version__}/tiny.safetensors",
        "https://two.example/models/tiny.safetensors",
    )
    weights_file.unlink()
    assert rebuild(registry, folder) == 0
    assert read_registry(registry) == {}


def test_rebuilding_renews_the_hash_and_keeps_addresses(registry: Path, weights_file: Path) -> None:
    rebuild(registry, weights_file.parent)
    content = json.loads(registry.read_text())
    content["models"][0]["urls"] = ["https://example.org/tiny.safetensors"]
    registry.write_text(json.dumps(content))
    before = read_registry(registry)["tiny"]
    weights_file.write_bytes(weights_file.read_bytes()[:-2] + b"\1\1")
    rebuild(registry, weights_file.parent)
    after = read_registry(registry)["tiny"]
    assert after.sha256 != before.sha256
    assert after.urls == before.urls
    assert after.urls[0] == "https://example.org/tiny.safetensors"


def test_mirrors_of_the_environment_are_asked_first(
    registry: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild(registry, weights_file.parent)
    monkeypatch.setenv("NAPARI_ATOMSEG_MIRRORS", "https://lab.example/a/ http://b.example")
    urls = read_registry(registry)["tiny"].urls
    assert urls[:2] == (
        "https://lab.example/a/tiny.safetensors",
        "http://b.example/tiny.safetensors",
    )
    assert len(urls) == 4


def test_files_that_cannot_be_published_are_named_and_change_nothing(
    registry: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> None:
    before = registry.read_bytes()
    folder = weights_file.parent
    foreign = folder / "foreign.safetensors"
    foreign.write_bytes(b"anything")
    with pytest.raises(SystemExit):
        rebuild(registry, folder)
    foreign.unlink()
    shutil.copy(weights_file, folder / "other-name.safetensors")
    with pytest.raises(SystemExit):
        rebuild(registry, folder)
    (folder / "other-name.safetensors").unlink()
    monkeypatch.setattr("napari_atomseg.weights.registry.LARGEST_PUBLISHED", 1000)
    with pytest.raises(SystemExit):
        rebuild(registry, folder)
    assert registry.read_bytes() == before
    said = capsys.readouterr().err  # type: ignore[attr-defined]
    assert all(word in said for word in ("foreign.safetensors", "other-name", "1000 allowed"))


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", "C:evil", "two\nlines", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(
    registry: Path, weights_file: Path, name: str
) -> None:
    rebuild(registry, weights_file.parent)
    content = json.loads(registry.read_text())
    content["models"][0]["name"] = name
    registry.write_text(json.dumps(content))
    with pytest.raises(ValidationError, match="name"):
        read_registry(registry)
    network, card = load_weights(weights_file)
    save_weights(weights_file, network, card.model_copy(update={"name": name or "/"}))
    with pytest.raises(SystemExit):
        rebuild(registry, weights_file.parent)


def test_a_registry_of_a_later_version_is_refused(tmp_path: Path) -> None:
    later = json.loads(REGISTRY.read_text()) | {"schema_version": 2}
    (tmp_path / "later.json").write_text(json.dumps(later))
    with pytest.raises(ValidationError, match="schema_version"):
        read_registry(tmp_path / "later.json")


def test_the_registry_says_what_the_card_says(root: Path) -> None:
    for entry in load_registry().models:
        card = read_card(root / "models" / entry.file)
        assert (entry.tasks, entry.recipe, entry.scores) == (card.tasks, card.recipe, card.scores)
