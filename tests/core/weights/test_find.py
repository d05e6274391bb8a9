"""Models by name, by path and in the user's folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from napari_atomseg.networks.files import WeightsError, read_card
from napari_atomseg.weights import DEFAULT, models, models_folder, resolve, sha256
from napari_atomseg.weights.folders import BUNDLED
from napari_atomseg.weights.registry import read_registry, register


def test_no_name_means_the_default_which_is_bundled(cache: Path) -> None:
    path = resolve(None)
    assert path == BUNDLED / f"{DEFAULT}.safetensors"
    assert resolve(DEFAULT) == path
    assert not cache.exists()


def test_registry_says_of_bundled_files_what_their_cards_and_bytes_say() -> None:
    registry = read_registry()
    files = {path.stem: path for path in BUNDLED.glob("*.safetensors")}
    assert DEFAULT in files
    for name, path in files.items():
        assert registry[name].sha256 == sha256(path)
        assert registry[name].size == path.stat().st_size
        assert registry[name].tasks == read_card(path).tasks


def test_bundled_files_are_small() -> None:
    assert all(path.stat().st_size <= 6e6 for path in BUNDLED.glob("*.safetensors"))


def test_damaged_bundled_file_is_refused(
    tmp_path: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = register(weights_file, registry=tmp_path / "registry.json")
    weights_file.write_bytes(weights_file.read_bytes()[:-2] + b"??")
    monkeypatch.setattr("napari_atomseg.weights.find.BUNDLED", weights_file.parent)
    monkeypatch.setattr("napari_atomseg.weights.find.read_registry", lambda: {entry.name: entry})
    with pytest.raises(WeightsError, match=r"tiny\.safetensors.*SHA-256"):
        resolve("tiny")


def test_own_model_in_the_folder_is_listed_and_found(cache: Path, weights_file: Path) -> None:
    models_folder().mkdir(parents=True)
    own = Path(shutil.copy(weights_file, models_folder() / "My model.safetensors"))
    assert own.is_relative_to(cache)
    table = models().set_index("name")
    row = table.loc["My model"]
    assert row["tasks"] == read_card(weights_file).tasks
    assert row["size"] == own.stat().st_size
    assert (row["bundled"], row["downloaded"]) == (False, True)
    assert resolve("My model") == own


def test_listing_leaves_out_a_broken_file_and_says_so(cache: Path) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / "broken.safetensors").write_bytes(b"no weights")
    with pytest.warns(UserWarning, match=r"broken\.safetensors"):
        table = models()
    assert "broken" not in set(table["name"])


def test_listing_has_the_documented_columns(cache: Path) -> None:
    table = models()
    assert list(table.columns[:7]) == [
        "name",
        "tasks",
        "modality",
        "size",
        "bundled",
        "downloaded",
        "scores",
    ]
    default = table.set_index("name").loc[DEFAULT]
    assert default["bundled"]
    assert default["downloaded"]


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_path_is_itself(weights_file: Path, as_type: type) -> None:
    assert resolve(as_type(weights_file)) == weights_file


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        resolve(tmp_path / "absent.safetensors")


def test_unknown_name_lists_the_known_ones(cache: Path, weights_file: Path) -> None:
    models_folder().mkdir(parents=True)
    shutil.copy(weights_file, models_folder() / "own.safetensors")
    with pytest.raises(ValueError, match=rf"'stem-xx'.*{DEFAULT}, own"):
        resolve("stem-xx")


def test_registering_again_renews_the_hash_and_keeps_the_addresses(
    tmp_path: Path, weights_file: Path
) -> None:
    registry = tmp_path / "registry.json"
    first = register(weights_file, ["https://example.org/tiny.safetensors"], registry)
    weights_file.write_bytes(weights_file.read_bytes()[:-2] + b"\1\1")
    second = register(weights_file, registry=registry)
    assert second.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest() != first.sha256
    assert read_registry(registry) == {"tiny": second}
    assert second.urls == first.urls
    assert json.loads(registry.read_text())[0]["scores"] == {"f1": 0.9}


def test_a_foreign_file_is_not_registered(tmp_path: Path) -> None:
    (tmp_path / "foreign.safetensors").write_bytes(b"anything")
    with pytest.raises(WeightsError):
        register(tmp_path / "foreign.safetensors", registry=tmp_path / "registry.json")
    assert not (tmp_path / "registry.json").exists()
