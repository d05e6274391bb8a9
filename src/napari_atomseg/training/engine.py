"""The processes that train together, one or several.

Started by ``torchrun``, several processes train one network together through Lightning Fabric,
each on its share of every batch and on a device of its own. Gradients are averaged, so that the
weights are those of one process with the whole batch, where losses are means over samples and the
network has no batch normalisation (whose moments each process takes of its own share).
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from napari_atomseg._shared.device import choose_device


class Engine(Protocol):
    """The processes that train together.

    Attributes
    ----------
    device : where this one computes.
    rank, size : its number, and how many there are; number 0 writes the files.
    """

    device: torch.device
    rank: int
    size: int

    def prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> nn.Module:
        """The network as it must be called in steps that end in `backward`."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, averaged over the processes."""
        ...

    def mean(self, value: Tensor) -> float:
        """A number, averaged over the processes."""
        ...

    def wait(self) -> None:
        """Go on when all processes are here."""
        ...


class Alone:
    """The only process."""

    rank = 0
    size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> nn.Module:
        """See `Engine.prepare`."""
        return network

    def backward(self, loss: Tensor) -> None:
        """See `Engine.backward`."""
        loss.backward()  # type: ignore[no-untyped-call]

    def mean(self, value: Tensor) -> float:
        """See `Engine.mean`."""
        return float(value)

    def wait(self) -> None:
        """See `Engine.wait`."""


class Together:
    """One of the processes that torchrun started.

    Raises
    ------
    ImportError
        Lightning Fabric is not installed; the message names the extra.
    """

    def __init__(self, device: torch.device, size: int) -> None:
        try:
            from lightning_fabric import Fabric
        except ImportError as error:
            raise ImportError(
                "training in several processes needs Lightning Fabric: "
                "pip install 'napari-atomseg[distributed]'"
            ) from error
        local = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        self._fabric: Any = Fabric(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=local,
            num_nodes=size // local,
            strategy="ddp",
        )
        self._fabric.launch()
        self.device: torch.device = self._fabric.device
        self.rank: int = self._fabric.global_rank
        self.size: int = self._fabric.world_size

    def prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> nn.Module:
        """See `Engine.prepare`."""
        wrapped: nn.Module = self._fabric.setup(network, optimizer)[0]
        return wrapped

    def backward(self, loss: Tensor) -> None:
        """See `Engine.backward`."""
        self._fabric.backward(loss)

    def mean(self, value: Tensor) -> float:
        """See `Engine.mean`."""
        return float(self._fabric.all_reduce(value, reduce_op="mean"))

    def wait(self) -> None:
        """See `Engine.wait`."""
        self._fabric.barrier()


def start_engine(device: str, batch: int) -> Engine:
    """The engine for this process.

    Raises
    ------
    ValueError
        The device is not there, or the batch cannot be shared evenly.
    ImportError
        There are several processes, and Lightning Fabric is not installed.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    chosen = choose_device(device)
    if size == 1:
        return Alone(chosen)
    if batch % size:
        raise ValueError(f"batch={batch} cannot be shared evenly by {size} processes")
    return Together(chosen, size)
