"""Work stops soon after it is cancelled, wherever it is, and says what it does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import napari_atomseg as atomseg
from napari_atomseg.inference.scan import lattice
from napari_atomseg.networks.pieces import interruptible
from napari_atomseg.progress import (
    Cancelled,
    CancelToken,
    cancellable,
    checkpoint,
    divided,
    tell,
    telling,
    within,
)
from napari_atomseg.trust import consistency, order, scores

RNG = np.random.default_rng(5)
WAVE = 1.0 + np.cos(np.arange(96) * 2 * np.pi / 12)
LATTICE = RNG.poisson(30 * np.outer(WAVE, WAVE) + 5).astype(np.float32)


def test_a_checkpoint_looks_at_the_innermost_token_and_none_leaves_the_outer_one() -> None:
    outer, inner = CancelToken(), CancelToken()
    checkpoint()
    outer.cancel()
    with cancellable(outer):
        with cancellable(inner):
            checkpoint()
        with cancellable(None), pytest.raises(Cancelled):
            checkpoint()
        with pytest.raises(Cancelled):
            tell("never said")
    checkpoint()


def test_what_is_told_goes_to_the_innermost_listener() -> None:
    said: list[str] = []
    tell("nobody listens")
    with telling(lambda message: said.append(f"outer {message}")):
        with telling(said.append):
            tell("one")
        tell("two")
    assert said == ["one", "outer two"]


def test_a_network_stops_within_one_layer() -> None:
    """Also within a block whose own code knows nothing of tokens; its output is unchanged."""
    seen: list[str] = []

    class Layer(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(self.name)
            if self.name == "second":
                token.cancel()
            return x + 1.0

    network = nn.Sequential(Layer("first"), nn.Sequential(Layer("second"), Layer("third")))
    token = CancelToken()
    assert float(interruptible(network)(torch.zeros(1))) == 3.0
    token, seen[:] = CancelToken(), []
    with cancellable(token), pytest.raises(Cancelled):
        network(torch.zeros(1))
    assert seen == ["first", "second"]


class Countdown(CancelToken):
    """Cancels itself at one of the looks at it."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def raise_if_cancelled(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().raise_if_cancelled()


WORK: dict[str, Callable[..., Any]] = {
    "restore": atomseg.restore,
    "segment": atomseg.segment,
    "localize": atomseg.localize,
    "correct_scan": atomseg.correct_scan,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_work_is_cancelled_at_whichever_look_and_tells_from_the_start(name: str) -> None:
    """A single frame is looked at many times; progress says what is done, and never falls."""
    told: list[tuple[int, int, str]] = []
    WORK[name](LATTICE, progress=lambda *each: told.append(each))
    # What a network gave for a small image is kept: the second time it has less to do.
    count = Countdown(10**9)
    WORK[name](LATTICE, cancel=count)
    looks = 10**9 - count.left
    assert looks > 15
    assert all(message for _, _, message in told)
    shares = [done / total for done, total, _ in told if total]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for at in (0, looks // 3, looks - 2):
        with pytest.raises(Cancelled):
            WORK[name](LATTICE, cancel=Countdown(at))


def test_scan_lines_of_one_frame_are_cancelled_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the rounds beside the lattice, which take longest."""
    token, rounds = CancelToken(), []
    real = lattice.put_back

    def put_back(*arguments: Any) -> Any:
        rounds.append(1)
        token.cancel()
        return real(*arguments)

    monkeypatch.setattr(lattice, "put_back", put_back)
    with pytest.raises(Cancelled):
        atomseg.correct_scan(LATTICE, "rows", cancel=token)
    assert len(rounds) == 1


def test_columns_that_are_looked_up_in_parts_are_judged_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restored = 30 * np.outer(WAVE, WAVE) + 5
    test = consistency(LATTICE, restored)
    y, x = RNG.uniform(0, 95, (2, 60))
    whole = scores.evidence(test, 0, y, x)
    for module in (scores, order):
        monkeypatch.setattr(module, "TOGETHER", 7)
    parts = scores.evidence(test, 0, y, x)
    for name in ("consistency", "signal", "contrast", "roundness", "order"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_a_divided_step_goes_on_and_never_back() -> None:
    told: list[tuple[float, str]] = []
    with divided(lambda part, message: told.append((round(part, 3), message))):
        with within(0.0, 0.5):
            tell("a", 0.5)
            with within(0.5, 1.0):
                tell("b", 0.5)
            tell("c", 0.1)
        tell("d")
        with within(0.5, 1.0):
            tell("e", 0.2)
            with telling(lambda message: told.append((-1.0, message))):
                tell("f", 0.9)
    assert told == [(0.25, "a"), (0.375, "b"), (0.5, "c"), (0.5, "d"), (0.6, "e"), (-1.0, "f")]
    with within(0.0, 0.5):
        tell("nobody listens", 0.3)


def test_progress_of_localize_moves_through_all_stages() -> None:
    told: list[tuple[float, str]] = []

    def progress(done: int, total: int, message: str) -> None:
        told.extend([(done / total, message)] if total else [])

    atomseg.localize(LATTICE, sampling=0.2, progress=progress)
    parts = [part for part, _ in told]
    assert parts == sorted(parts)
    assert max(np.diff(parts)) < 0.45
    words = " ".join(message for _, message in told)
    stages = ("tiles", "Comparing", "regions", "Judging", "Fitting", "missing", "Measuring")
    assert [word for word in stages if word not in words] == []
