"""Weights files: safetensors with a model card as JSON in the header."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg._shared.files import whole_file
from napari_atomseg.networks.card import HEADER, ModelCard, WeightsError, read_card

__all__ = ["ModelCard", "WeightsError", "load_weights", "read_card", "save_weights"]

MISFITS = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    SafetensorError,
)
"""Errors raised by arguments or tensors of another network."""


def save_weights(
    path: str | Path, network: nn.Module, card: ModelCard, *, half: bool = True
) -> None:
    """Write a network and its card; an interrupted write leaves a previous file unchanged.

    `half` stores tensors in half precision, except those out of its range.
    """
    tensors = {name: _stored(value, half) for name, value in network.state_dict().items()}
    with whole_file(path) as partial:
        partial.write_bytes(save(tensors, metadata={HEADER: card.model_dump_json()}))


def survives_half(network: nn.Module) -> bool:
    """Whether half precision stores every tensor of a network exactly."""
    floats = [value for value in network.state_dict().values() if value.is_floating_point()]
    return all(torch.equal(_stored(value, True).to(value.dtype), value) for value in floats)


def load_weights(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The network of a weights file, in evaluation mode and full precision, and its card.

    Raises
    ------
    WeightsError
        The file cannot be read, or its tensors do not fit the architecture it names.
    """
    card = read_card(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            _check_shapes(card, {name: tuple(file.get_slice(name).get_shape()) for name in names})
            tensors = {name: _loaded(file.get_tensor(name)) for name in names}
        network = networks.create(card.architecture, **card.arguments)
        network.load_state_dict(tensors)
        for name, value in tensors.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise ValueError(f"tensor {name} holds numbers that are not finite")
    except MISFITS as error:
        raise WeightsError(f"{path}: does not fit its architecture ({error})") from error
    return network.eval().requires_grad_(False), card


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not (half and value.is_floating_point()):
        return value.clone()
    halved = value.half()
    return halved if bool(halved.isfinite().all()) else value.clone()


def _loaded(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _check_shapes(card: ModelCard, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compare shapes without allocation: a malicious card may define a network of any size."""
    with torch.device("meta"):
        expected = networks.create(card.architecture, **card.arguments).state_dict()
    for name in sorted(expected.keys() | shapes.keys()):
        wanted = tuple(expected[name].shape) if name in expected else None
        if shapes.get(name) != wanted:
            found = shapes.get(name, "absent")
            raise ValueError(f"tensor {name}: {found}, expected {wanted or 'none'}")
