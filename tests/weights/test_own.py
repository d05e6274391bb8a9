"""The user's own models: added, renamed, exported and removed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_atomseg.networks.files import WeightsError, load_weights, read_card
from napari_atomseg.weights import DEFAULT, export_model, models, remove_model, resolve
from napari_atomseg.weights.store import (
    add_model,
    own_models,
    rename_model,
)


def same_tensors(first: Path, second: Path) -> bool:
    a, b = (load_weights(path)[0].state_dict() for path in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_model_keeps_its_weights_under_every_name(cache: Path, weights_file: Path) -> None:
    added = add_model(weights_file, "first")
    assert resolve("first") == added
    renamed = rename_model("first", "Second try")
    assert list(own_models()) == ["Second try"]
    assert read_card(renamed).name == "Second try"
    assert read_card(renamed).tasks == read_card(weights_file).tasks
    assert "Second try" in set(models()["name"])
    exported = export_model("Second try", cache / "for a colleague")
    assert exported.suffix == ".safetensors"
    assert same_tensors(exported, weights_file)
    remove_model("Second try")
    assert not own_models()
    assert same_tensors(add_model(exported), weights_file)
    assert list(own_models()) == ["for a colleague"]


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "two\nlines", " x", DEFAULT, "here"])
def test_a_name_that_cannot_be_is_refused(name: str, cache: Path, weights_file: Path) -> None:
    add_model(weights_file, "here")
    add_model(weights_file, "other")
    with pytest.raises(ValueError, match=r"name"):
        rename_model("other", name)
    assert set(own_models()) == {"here", "other"}


def test_a_model_is_replaced_only_on_demand(cache: Path, weights_file: Path) -> None:
    first = add_model(weights_file, "mine")
    before = first.read_bytes()
    with pytest.raises(ValueError, match="already"):
        add_model(weights_file, "mine")
    first.write_bytes(b"")
    assert add_model(weights_file, "mine", replace=True).read_bytes() == before
    with pytest.raises(ValueError, match="published"):
        add_model(weights_file, DEFAULT, replace=True)


def test_what_is_no_model_is_not_added(cache: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.safetensors"
    picture.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"picture\.safetensors"):
        add_model(picture)
    assert not own_models()
