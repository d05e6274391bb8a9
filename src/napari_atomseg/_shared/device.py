"""Choice of the device and precision of computations."""

from __future__ import annotations

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The torch device of that name; "auto" takes a GPU where there is one.

    Raises
    ------
    ValueError
        The name is not one of "auto", "cpu", "cuda", "cuda:N", "mps", or the device is absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.split(":")[0] not in DEVICES:
        raise ValueError(f"device={name!r} is not known; choose one of {', '.join(DEVICES)}")
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present[name.split(":")[0]]:
        raise ValueError(f"device={name!r} is not present on this machine; use 'auto' or 'cpu'")
    return torch.device(name)


def half_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 convolutions run in hardware on the device."""
    if device.type == "cpu":
        capability = torch.cpu.get_capabilities()
        return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
