"""Files that are imported into the cache folder, and removed from it."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_atomseg import restore
from napari_atomseg.networks.files import WeightsError, load_weights, read_card, save_weights
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.weights import (
    DEFAULT,
    downloads_folder,
    find_file,
    import_model,
    models_folder,
    remove_model,
    resolve,
)
from napari_atomseg.weights.registry import Entry
from napari_atomseg.weights.store import own_models


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_with_a_published_hash_stands_in_for_the_download(
    cache: Path, weights_file: Path, publish: Callable[..., Entry]
) -> None:
    publish("http://127.0.0.1:9/")
    renamed = weights_file.rename(weights_file.with_name("from a colleague.safetensors"))
    assert import_model(renamed) == "tiny"
    assert resolve("tiny") == downloads_folder() / "tiny.safetensors"
    assert resolve("tiny").read_bytes() == renamed.read_bytes()
    assert not own_models()


def test_another_file_becomes_a_model_of_ones_own(cache: Path, weights_file: Path) -> None:
    assert import_model(weights_file) == "tiny"
    assert import_model(weights_file, "mine") == "mine"
    assert set(own_models()) == {"tiny", "mine"}
    with pytest.raises(ValueError, match="already"):
        import_model(weights_file)


def test_a_path_in_the_card_leads_nowhere(cache: Path, weights_file: Path) -> None:
    network, card = load_weights(weights_file)
    save_weights(weights_file, network, card.model_copy(update={"name": "../../evil"}))
    import_model(weights_file)
    assert files_in(cache.parent) == ["tiny.safetensors", "tiny.safetensors"]
    assert files_in(models_folder()) == ["tiny.safetensors"]
    assert read_card(resolve("tiny")).name == "tiny"


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "..", "a\\b", DEFAULT])  # noqa: S108
def test_a_name_that_is_no_name_is_refused(cache: Path, weights_file: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name="):
        import_model(weights_file, name)
    assert not cache.exists()


class Hostile:
    """Runs when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.witness, "executed"))


def truncated(path: Path, _witness: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def pickled(path: Path, witness: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(witness)))


def huge_header(path: Path, _witness: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])


def later_schema(path: Path, _witness: Path) -> None:
    card = json.loads(read_card(path).model_dump_json()) | {"schema_version": 2}
    save_file({"a": np.zeros(3)}, path, metadata={"napari_atomseg": json.dumps(card)})


def foreign(path: Path, _witness: Path) -> None:
    save_file({"a": np.zeros(3)}, path, metadata={"format": "pt"})


def unfit(path: Path, _witness: Path) -> None:
    card = read_card(path).model_dump_json()
    save_file({"a": np.zeros(3)}, path, metadata={"napari_atomseg": card})


SPOILED = [
    (truncated, "not a safetensors file, or damaged"),
    (pickled, "not a safetensors file, or damaged"),
    (huge_header, "not a safetensors file, or damaged"),
    (later_schema, "schema_version"),
    (foreign, "not a model of napari-atomseg"),
    (unfit, "does not fit its architecture"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED)
def test_what_is_no_model_is_refused_and_never_executed(
    cache: Path,
    tmp_path: Path,
    weights_file: Path,
    spoil: Callable[[Path, Path], None],
    message: str,
) -> None:
    witness = tmp_path / "witness"
    spoil(weights_file, witness)
    with pytest.raises(WeightsError, match=rf"tiny\.safetensors.*{message}"):
        import_model(weights_file)
    with pytest.raises(WeightsError, match=rf"tiny\.safetensors.*{message}"):
        restore(np.zeros((16, 16), np.float32), model=weights_file)
    assert not witness.exists()
    assert not cache.exists()


def test_a_download_is_removed_with_its_part(
    cache: Path, serve: Any, publish: Callable[..., Entry]
) -> None:
    entry = publish(serve("good"))
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        resolve("tiny", progress=lambda done, *_: done and cancel.cancel(), cancel=cancel)
    assert files_in(cache) == [entry.partial]
    remove_model("tiny")
    assert files_in(cache) == []
    resolve("tiny")
    remove_model("tiny")
    assert find_file("tiny") is None
    with pytest.raises(ValueError, match="'tiny' is not downloaded"):
        remove_model("tiny")


def test_an_own_model_is_removed_and_only_that(cache: Path, weights_file: Path) -> None:
    import_model(weights_file, "first")
    import_model(weights_file, "second")
    remove_model("first")
    assert set(own_models()) == {"second"}
    with pytest.raises(ValueError, match=r"'first' is not one of your models \(second\)"):
        remove_model("first")


def test_what_comes_with_the_package_stays(cache: Path) -> None:
    with pytest.raises(ValueError, match="comes with the package"):
        remove_model(DEFAULT)
    assert resolve(DEFAULT).is_file()
