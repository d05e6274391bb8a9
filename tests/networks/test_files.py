"""Weights files: what is written comes back, and nothing else is ever loaded."""

from __future__ import annotations

import json
import math
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from napari_atomseg import networks
from napari_atomseg.networks.files import (
    ModelCard,
    WeightsError,
    load_weights,
    read_card,
    save_weights,
)

ARGUMENTS = {"channels_in": 1, "channels_out": 2, "widths": [4, 8]}


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.create("unet", **ARGUMENTS)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network.eval()


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="small",
        architecture="unet",
        arguments=ARGUMENTS,
        tasks=("denoise", "column_map"),
        normalisation="none",
        spacing_range=(5.0, 30.0),
        scores={"psnr": 31.5, "loss": math.inf},
        recipe={"steps": 3, "nested": {"widths": [1, 2]}},
    )


@pytest.fixture
def saved(tmp_path: Path, network: torch.nn.Module, card: ModelCard) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, network, card)
    return path


def header_of(path: Path) -> dict:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


def rewrite(path: Path, card: dict, tensors: dict[str, np.ndarray] | None = None) -> None:
    tensors = {"exit.bias": np.zeros(8, np.float32)} if tensors is None else tensors
    save_file(tensors, path, metadata={"napari_atomseg": json.dumps(card)})


def test_card_comes_back_as_it_was_written(saved: Path, card: ModelCard) -> None:
    assert read_card(saved) == card


def test_network_computes_the_same_after_full_precision_storage(
    tmp_path: Path, network: torch.nn.Module, card: ModelCard
) -> None:
    path = tmp_path / "full.safetensors"
    save_weights(path, network, card, half=False)
    loaded, _ = load_weights(path)
    image = torch.randn(1, 1, 20, 24)
    torch.testing.assert_close(loaded(image), network(image), rtol=0, atol=0)


def test_half_storage_halves_the_file_and_keeps_eleven_bits(
    tmp_path: Path, saved: Path, network: torch.nn.Module, card: ModelCard
) -> None:
    save_weights(tmp_path / "full.safetensors", network, card, half=False)
    numbers = sum(parameter.numel() for parameter in network.parameters())
    assert (tmp_path / "full.safetensors").stat().st_size - saved.stat().st_size == pytest.approx(
        2 * numbers, abs=200
    )
    loaded, _ = load_weights(saved)
    for ours, theirs in zip(loaded.parameters(), network.parameters(), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=2**-11, atol=2**-24)


def test_values_too_large_for_half_precision_survive(
    tmp_path: Path, network: torch.nn.Module, card: ModelCard
) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)
    save_weights(tmp_path / "large.safetensors", network, card)
    loaded, _ = load_weights(tmp_path / "large.safetensors")
    assert torch.all(next(loaded.parameters()) == 1e6)


def test_file_has_the_permissions_of_any_other(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    assert saved.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_failed_write_keeps_the_previous_file(
    saved: Path, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full_disk(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_weights(saved, networks.create("unet", **ARGUMENTS), card)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("keep", [0, 4, 8, 60, -1])
def test_truncated_file_is_refused_by_name(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"small\.safetensors"):
        load_weights(saved)


def test_pickle_is_refused_and_never_executed(tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    witness = tmp_path / "witness"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (witness.write_text, ("executed",))

    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(WeightsError, match=r"hostile\.safetensors"):
        load_weights(path)
    assert not witness.exists()


def test_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(WeightsError, match=r"long\.safetensors"):
        read_card(path)


def test_file_too_large_for_a_model_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(WeightsError, match="larger than"):
        read_card(path)


def test_foreign_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="not a model of napari-atomseg"):
        read_card(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        read_card(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "transformer"}, "transformer"),
        ({"arguments": {"channels_out": 3, "widths": [4, 8]}}, "tensor"),
        ({"arguments": {"depth": 3}}, "depth"),
        ({"arguments": {"widths": [2**20, 2**20, 2**20]}}, "tensor"),
        ({"arguments": {"widths": []}}, "architecture"),
        ({"schema_version": 99}, "schema_version"),
        ({"name": ""}, "name"),
        ({"tasks": "denoise"}, "tasks"),
    ],
)
def test_card_that_does_not_fit_is_refused(saved: Path, change: dict, message: str) -> None:
    card = json.loads(header_of(saved)["__metadata__"]["napari_atomseg"])
    rewrite(saved, card | change)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(saved)
    assert "small.safetensors" in str(caught.value)


@pytest.mark.parametrize("header", ["", "{", "[" * 100_000, '{"name": 3}', "null"])
def test_damaged_card_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "damaged.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"napari_atomseg": header})
    with pytest.raises(WeightsError, match=r"damaged\.safetensors"):
        read_card(path)


def test_card_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"napari_atomseg": " " * 2**23})
    with pytest.raises(WeightsError, match="too large"):
        read_card(path)
