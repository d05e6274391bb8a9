from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator, Tensor


@pytest.fixture(scope="session")
def generators() -> Callable[..., list[Generator]]:
    def make(count: int, seed: int = 0) -> list[Generator]:
        return [torch.Generator().manual_seed(seed + i) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def batch() -> Callable[..., dict[str, Tensor]]:
    def stack(*drawn: dict) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.stack([np.float32(d[name]) for d in drawn]))
            for name in drawn[0]
        }

    return stack
