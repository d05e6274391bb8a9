"""Networks by name. Each maps (B, C_in, H, W) to (B, C_out, H, W) for any H and W.

All take `channels_in` (1), `channels_out` (1) and `activation`: what follows the last layer,
"none", "sigmoid", "tanh" or "softmax"; by default what the source has. Discriminators take
`channels_in` and map images to one value a patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_atomseg.networks.register import LARGEST_COUNT, architectures

if TYPE_CHECKING:
    from torch import nn


def names() -> list[str]:
    """Names of the networks that map images to images."""
    return [name for name, known in architectures().items() if not known.judges]


def discriminators() -> list[str]:
    """Names of the discriminators for adversarial training."""
    return [name for name, known in architectures().items() if known.judges]


def linear(name: str) -> dict[str, Any]:
    """Arguments for a network without a final activation, whose channels are those of tasks."""
    residual = {"residual": False} if architectures()[name].takes("residual") else {}
    return {"activation": "none", **residual}


def akin(one: str, other: str) -> bool:
    """Whether two names are networks of the same class, of whatever size."""
    known = architectures()
    kinds = [known[name].network if name in known else name for name in (one, other)]
    return kinds[0] == kinds[1]


def create(name: str, **kwargs: Any) -> nn.Module:
    """A new network of the named architecture.

    Raises
    ------
    ValueError
        The name is neither in `names()` nor in `discriminators()`, or an argument is out of range.
    """
    known = architectures()
    if name not in known:
        raise ValueError(
            f"network {name!r} is not known; choose one of "
            f"{', '.join([*names(), *discriminators()])}"
        )
    for argument, value in kwargs.items():
        if isinstance(value, (list, tuple)) and len(value) > LARGEST_COUNT:
            raise ValueError(
                f"{argument} has {len(value)} numbers; at most {LARGEST_COUNT} are taken"
            )
    return known[name].network(**known[name].preset | kwargs)
