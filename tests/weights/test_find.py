"""Models by name, by path and in the user's folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_atomseg import networks
from napari_atomseg.cli import app
from napari_atomseg.io import write_image
from napari_atomseg.networks.files import WeightsError, read_card, save_weights
from napari_atomseg.weights import (
    DEFAULT,
    downloads_folder,
    find_file,
    model_entry,
    models,
    models_folder,
    models_for,
    resolve,
)
from napari_atomseg.weights.description import describe_model, location
from napari_atomseg.weights.registry import Entry, describe, read_registry


def put(file: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(file, folder / f"{name}.safetensors"))


def row(name: str) -> Any:
    return models().set_index("name").loc[name]


def test_no_name_means_the_default_which_a_clone_finds_in_its_own_folder(
    cache: Path, root: Path
) -> None:
    path = resolve(None)
    assert path == root / "models" / f"{DEFAULT}.safetensors"
    assert resolve(DEFAULT) == path
    assert not cache.exists()


def test_an_installed_package_finds_what_it_bundles(
    cache: Path, weights_file: Path, publish: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_atomseg.weights.store.BUNDLED", weights_file.parent)
    monkeypatch.setattr("napari_atomseg.weights.store._REPOSITORY", cache)
    publish()
    assert resolve("tiny") == weights_file
    assert row("tiny")["bundled"]
    assert not cache.exists()


def test_damaged_bundled_file_is_refused(
    weights_file: Path, publish: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    weights_file.write_bytes(weights_file.read_bytes()[:-2] + b"??")
    monkeypatch.setattr("napari_atomseg.weights.store.BUNDLED", weights_file.parent)
    with pytest.raises(WeightsError, match=r"tiny\.safetensors.*SHA-256"):
        resolve("tiny")


@pytest.mark.parametrize("folder", [models_folder, downloads_folder])
def test_a_published_file_put_there_by_hand_needs_no_network(
    cache: Path, weights_file: Path, publish: Callable[..., Entry], folder: Callable[[], Path]
) -> None:
    publish("http://127.0.0.1:9/")
    assert find_file("tiny") is None
    assert location(row("tiny")) == "to download"
    path = put(weights_file, folder(), "tiny")
    assert find_file("tiny") == resolve("tiny") == path
    assert location(row("tiny")) == "downloaded"


def test_a_download_leaves_an_own_file_of_that_name_alone(
    cache: Path, weights_file: Path, serve: Any, publish: Callable[..., Entry]
) -> None:
    own = put(weights_file, models_folder(), "tiny")
    own.write_bytes(own.read_bytes()[:-2] + b"\1\1")
    before = own.read_bytes()
    publish(serve("good"))
    assert resolve("tiny").parent == downloads_folder()
    assert own.read_bytes() == before


def test_own_model_in_the_folder_is_listed_and_found(cache: Path, weights_file: Path) -> None:
    own = put(weights_file, models_folder(), "My model")
    assert own.is_relative_to(cache)
    listed = row("My model")
    assert listed["tasks"] == read_card(weights_file).tasks
    assert listed["size"] == own.stat().st_size
    assert (listed["bundled"], listed["downloaded"], listed["own"]) == (False, True, True)
    assert location(listed) == "own"
    assert resolve("My model") == own
    assert model_entry("My model") == describe(own, "My model")


def test_listing_leaves_out_a_broken_file_and_says_so(cache: Path) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / "broken.safetensors").write_bytes(b"no weights")
    (models_folder() / "._tiny.safetensors").write_bytes(b"what macOS leaves beside a file")
    with pytest.warns(UserWarning, match=r"broken\.safetensors") as caught:
        table = models()
    assert len(caught) == 1
    assert "broken" not in set(table["name"])


def test_listing_has_the_documented_columns(cache: Path) -> None:
    table = models()
    documented = ["name", "tasks", "modality", "size", "bundled", "downloaded", "scores"]
    assert list(table.columns[:7]) == documented
    default = table.set_index("name").loc[DEFAULT]
    assert default["bundled"]
    assert default["downloaded"]


def test_a_card_is_told_in_words(weights_file: Path) -> None:
    lines = describe_model(describe(weights_file), weights_file)
    assert lines["Description"] == "A small network."
    assert lines["Scores"] == "f1 0.9"
    assert lines["Spacing"] == "5 to 34 pixels between columns"
    assert lines["File"] == str(weights_file)
    assert "Addresses" not in lines


def test_a_network_has_as_many_parameters_as_its_tensors_have_numbers(weights_file: Path) -> None:
    from napari_atomseg.networks.files import load_weights

    network, _ = load_weights(weights_file)
    assert describe(weights_file).parameters == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_path_is_itself(weights_file: Path, as_type: type) -> None:
    assert resolve(as_type(weights_file)) == weights_file


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        resolve(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("ask", [resolve, model_entry, find_file])
def test_unknown_name_lists_the_known_ones(
    cache: Path, weights_file: Path, ask: Callable[[str], Any]
) -> None:
    put(weights_file, models_folder(), "own")
    with pytest.raises(ValueError, match=rf"'stem-xx'.*{DEFAULT}.*, own"):
        ask("stem-xx")


def test_only_models_that_can_do_the_tasks_are_named(
    weights_file: Path, cache: Path, tmp_path: Path
) -> None:
    others = set(read_registry()) - {DEFAULT}
    for name, tasks in (("cleaner", ("denoise",)), ("chemist", ("elements",))):
        card = read_card(weights_file).model_copy(update={"name": name, "tasks": tasks})
        models_folder().mkdir(parents=True, exist_ok=True)
        network = networks.create("unet", **card.arguments)
        save_weights(models_folder() / f"{name}.safetensors", network, card)
    for tasks, able in (
        ((), {"chemist", "cleaner"}),
        (("upinterpolation",), {"cleaner"}),
        (("column_map", "column_mask"), {"chemist"}),
        (("column_map", "denoise"), set()),
    ):
        first, *further = models_for(tasks)
        assert first == DEFAULT
        assert set(further) - others == able
    assert "restore-hr-stem" not in models_for(("column_map",))
    with pytest.raises(
        ValueError, match=rf"'typo' is not known; choose one of {DEFAULT}, .*"
    ) as no:
        resolve("typo", tasks=("denoise",))
    assert "cleaner" in str(no.value)
    assert "chemist" not in str(no.value)
    with pytest.raises(ValueError, match="no model here can do paint: give the path"):
        resolve("typo", tasks=("paint",))
    image = tmp_path / "image.tif"
    write_image(image, np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    said = CliRunner().invoke(app, ["restore", str(image), "--model", "chemist"]).output
    assert "'denoise' is not one of model chemist: elements, column_map, column_mask; " in said
    said = " ".join(said.split())
    assert f"choose one of {', '.join(models_for(('denoise',)))}, or give the path" in said
