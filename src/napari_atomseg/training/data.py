"""The examples of each step, prepared between the steps or ahead of them by other processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg.networks.maps import normalise, normalised_targets
from napari_atomseg.networks.tasks import TARGETS
from napari_atomseg.progress import CancelToken
from napari_atomseg.training.recipe import TrainingRecipe
from napari_atomseg.training.sources import VALIDATION, Pairs, Source

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
    pairs: Pairs, tasks: Sequence[str], numbers: Sequence[int] = (), seed: int = 0
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


def _weight(pairs: Pairs, tasks: Sequence[str]) -> Tensor | None:
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


AHEAD = 2
"""Batches that each process has in hand."""
Arrays = list[NDArray[np.float32] | None]
"""What is sent between processes: tensors would take their files and shared memory."""
POLL = 0.1
"""Seconds between two looks at whether the user cancelled."""


@dataclass(frozen=True)
class Maker:
    """Makes the examples of a stream; it can be sent to another process."""

    recipe: TrainingRecipe
    source: Source

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

    def _changed(self, pairs: Pairs, seed: int, first: int) -> Pairs:
        """The pairs with the recipe's augmentation, each by its own number's chance."""
        change = self.recipe.augmentation
        if change is None:
            return pairs
        rngs = [np.random.default_rng((seed, first + row, 3)) for row in range(len(pairs))]
        return change.apply(pairs, rngs, self.recipe.crop)


class Feed:
    """The batches of a training's steps, in order.

    Parameters
    ----------
    maker : of the examples.
    share : (part, parts), which part of each batch this process trains on.
    device : where the examples are needed.
    """

    def __init__(self, maker: Maker, share: tuple[int, int], device: torch.device) -> None:
        self.maker, self.device = maker, device
        part, parts = share
        self._count = maker.recipe.batch // parts
        self._offset = part * self._count
        self._waiting: deque[tuple[int, Future[Arrays]]] = deque()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Feed:
        if workers := self.maker.recipe.workers:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, context, _begin, (self.maker,))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int, cancel: CancelToken | None = None) -> Examples:
        """The examples of a step.

        Raises
        ------
        Cancelled
            `cancel` was raised while other processes were waited for.
        ChildProcessError
            One of them died.
        """
        if self._pool is None:
            return self.maker.training(self._first(step), self._count, str(self.device))
        try:
            self._ask(step)
            return _received(self._next(cancel)).to(self.device)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process that prepares images died: train with fewer workers if memory is "
                "short, and call train below `if __name__ == '__main__':` in a script"
            ) from error

    def _next(self, cancel: CancelToken | None) -> Arrays:
        """The batch that was asked for first, when it is ready."""
        _, future = self._waiting.popleft()
        while True:
            if cancel is not None:
                cancel.raise_if_cancelled()
            try:
                return future.result(POLL)
            except TimeoutError:
                continue

    def _first(self, step: int) -> int:
        return step * self.maker.recipe.batch + self._offset

    def _ask(self, step: int) -> None:
        """Have the batches from `step` on prepared, and no others."""
        if self._pool is None:
            return
        while self._waiting and self._waiting[0][0] != step:
            self._waiting.popleft()
        start = self._waiting[-1][0] + 1 if self._waiting else step
        for each in range(start, step + AHEAD * self.maker.recipe.workers):
            self._waiting.append((each, self._pool.submit(_make, self._first(each), self._count)))


_MAKER: Maker | None = None
"""In a process of a `Feed`'s pool: what it makes examples with."""


def _begin(maker: Maker) -> None:
    global _MAKER
    torch.set_num_threads(1)
    _MAKER = maker


def _make(first: int, count: int) -> Arrays:
    if _MAKER is None:
        raise RuntimeError("a process prepares examples before it knows of what")
    made = _MAKER.training(first, count, "cpu")
    return [None if t is None else t.numpy() for t in (made.image, made.targets, made.weight)]


def _received(arrays: Arrays) -> Examples:
    image, targets, weight = (None if a is None else torch.from_numpy(a) for a in arrays)
    if image is None or targets is None:
        raise RuntimeError("a process sent no images")
    return Examples(image, targets, weight)
