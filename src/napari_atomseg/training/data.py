"""The examples of each step, prepared between the steps or ahead of them by other processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_atomseg.networks.maps import normalise, normalised_targets
from napari_atomseg.networks.tasks import TARGETS
from napari_atomseg.progress import CancelToken
from napari_atomseg.training.recipe import TrainingRecipe
from napari_atomseg.training.sources import VALIDATION, PairBatch, PairSource

JITTER = 0.35
"""Deviation (log) of a random gain on top of the normalisation: a crop's mean and deviation are not
those of the whole image that the network will meet."""


@dataclass(frozen=True)
class Examples:
    """A batch for the network.

    Attributes
    ----------
    image : (B, 1, H, W) normalised.
    targets : (B, C, H, W) truth of the tasks in the order of the channels, intensities in units of
        the image's deviation.
    weight : (B, C or 1, H or 1, W or 1) in 0..1, how much each pixel counts for each channel; None
        for all alike. It is 0 for channels of which the truth is not known.
    """

    image: Tensor
    targets: Tensor
    weight: Tensor | None = None

    def to(self, device: torch.device) -> Examples:
        """The same on another device."""
        weight = None if self.weight is None else self.weight.to(device)
        return Examples(self.image.to(device), self.targets.to(device), weight)


def examples(
    pairs: PairBatch, tasks: Sequence[str], numbers: Sequence[int] = (), seed: int = 0
) -> Examples:
    """Examples of pairs.

    Parameters
    ----------
    pairs : B of them.
    tasks : in the order of the channels.
    numbers : those of the B samples in their stream; with the `seed` they give each sample its
        random gain and offset. Without numbers there are none.
    """
    image, mean, deviation = normalise(pairs.image)
    draws = np.zeros((len(pairs), 2))
    for row, number in enumerate(numbers):
        draws[row] = np.random.default_rng((seed, number, 2)).normal(size=2)
    gain, shift = (JITTER * torch.tensor(draws, dtype=torch.float32)).to(image.device).unbind(1)
    gain, shift = gain.exp()[:, None, None, None], shift[:, None, None, None]
    targets = normalised_targets(pairs.targets, mean, gain / deviation, shift, tasks)
    return Examples(image * gain + shift, targets, _weight(pairs, tasks))


def _weight(pairs: PairBatch, tasks: Sequence[str]) -> Tensor | None:
    """How much each pixel counts for each channel, see `Examples`."""
    names = [TARGETS[task] for task in tasks]
    if pairs.known.keys().isdisjoint(names):
        return pairs.weight
    everywhere = torch.ones(len(pairs), dtype=torch.bool, device=pairs.image.device)
    known = torch.cat(
        [
            pairs.known.get(name, everywhere)[:, None].expand(-1, pairs.targets[name].shape[1])
            for name in names
        ],
        dim=1,
    )
    weight = known[:, :, None, None].to(pairs.image.dtype)
    return weight if pairs.weight is None else weight * pairs.weight


@dataclass(frozen=True)
class ExampleMaker:
    """Makes the examples of a stream; it can be sent to another process."""

    recipe: TrainingRecipe
    source: PairSource

    def training(self, first: int, count: int, device: str) -> Examples:
        """Samples `first` to `first + count` of the stream."""
        recipe, numbers = self.recipe, range(first, first + count)
        pairs = self.source.batch(first, count, self._size, device)
        return examples(
            self._changed(pairs, recipe.seed, first), recipe.tasks, numbers, recipe.seed
        )

    def validation(self, device: str) -> Examples:
        """The samples that training never sees; their changes are always the same."""
        recipe = self.recipe
        pairs = self.source.validation(recipe.validation, self._size, device)
        return examples(self._changed(pairs, recipe.seed + VALIDATION, 0), recipe.tasks)

    @property
    def _size(self) -> int:
        """Pixels that a sample needs each way before it is changed."""
        change, crop = self.recipe.augmentation, self.recipe.crop
        return crop if change is None else change.size(crop)

    def _changed(self, pairs: PairBatch, seed: int, first: int) -> PairBatch:
        """The pairs with the recipe's augmentation, each by the chance of its own number."""
        change = self.recipe.augmentation
        if change is None:
            return pairs
        rngs = [np.random.default_rng((seed, first + row, 3)) for row in range(len(pairs))]
        return change.apply(pairs, rngs, self.recipe.crop)


AHEAD = 2
"""Batches that each process has in hand."""
POLL = 0.1
"""Seconds between two looks at whether the user cancelled."""
Arrays = tuple[NDArray[np.float32] | None, ...]
"""What is sent between processes: tensors would take their files and shared memory."""


class _Steps(Dataset[Arrays | Exception]):
    """Batches as other processes make them, by the number of their first sample.

    A fault is returned: raised there, it would arrive with the traceback in its message.
    """

    def __init__(self, maker: ExampleMaker, size: int) -> None:
        self._maker, self._size = maker, size

    def __getitem__(self, first: int) -> Arrays | Exception:
        try:
            made = self._maker.training(first, self._size, "cpu")
        except (OSError, ValueError) as fault:
            return fault
        return tuple(
            None if part is None else part.numpy()
            for part in (made.image, made.targets, made.weight)
        )


@contextmanager
def batches(
    maker: ExampleMaker,
    device: torch.device,
    *,
    start: int = 0,
    share: tuple[int, int] = (0, 1),
    cancel: CancelToken | None = None,
) -> Iterator[Iterator[Examples]]:
    """The batches of a training's steps, in order and without end.

    The recipe's `workers` prepare them ahead; without any they are made when they are asked for.

    Parameters
    ----------
    device : where the examples are needed.
    start : step of the first batch.
    share : (part, parts), which part of each batch this process trains on.
    cancel : ends the waiting for other processes.

    Raises
    ------
    Cancelled
        `cancel` was raised while other processes were waited for.
    ChildProcessError
        One of them died.
    """
    recipe, (part, parts) = maker.recipe, share
    size = recipe.batch // parts
    firsts = count(start * recipe.batch + part * size, recipe.batch)
    if not recipe.workers:
        yield (maker.training(first, size, str(device)) for first in firsts)
        return
    loader = DataLoader(
        _Steps(maker, size),
        batch_size=None,
        sampler=firsts,
        num_workers=recipe.workers,
        prefetch_factor=AHEAD,
        timeout=POLL,
        collate_fn=_as_made,
        worker_init_fn=_leave_interrupts,
        multiprocessing_context="spawn",
        generator=torch.Generator(),  # The global one belongs to the network.
    )
    try:
        yield (_received(each).to(device) for each in _arriving(iter(loader), cancel))
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise ChildProcessError(
            "a process that prepares images died: train with fewer workers if memory is "
            "short, and call train below `if __name__ == '__main__':` in a script"
        ) from error


def _arriving(loaded: Iterator[Any], cancel: CancelToken | None) -> Iterator[Any]:
    """What a loader gives, however long it takes."""
    while True:
        if cancel is not None:
            cancel.raise_if_cancelled()
        try:
            arrived = next(loaded)
        except RuntimeError as error:
            if str(error).startswith("DataLoader timed out"):
                continue
            raise
        yield arrived


def _received(sent: Arrays | Exception) -> Examples:
    if isinstance(sent, Exception):
        raise sent
    image, targets, weight = sent
    if image is None or targets is None:
        raise RuntimeError("a process sent no images")
    return Examples(
        torch.from_numpy(image),
        torch.from_numpy(targets),
        None if weight is None else torch.from_numpy(weight),
    )


def _as_made(item: Any) -> Any:
    return item


def _leave_interrupts(_worker: int) -> None:
    """Ctrl-C reaches all processes; the one that trains ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
