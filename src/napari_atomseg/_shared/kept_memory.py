"""Memory of arrays that is kept for the next ones."""

from __future__ import annotations

from functools import lru_cache

BLOCK = 31 << 20
"""Bytes; glibc heeds blocks of up to 32 MB."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the C library keep the memory of arrays that are freed for those that follow.

    That of Linux takes blocks from 128 kB on from the system and gives them back, and all of their
    pages are cleared anew each time, which takes longer than much of what is done with them. Once
    a larger block was freed, it keeps blocks up to that size (mallopt(3), M_MMAP_THRESHOLD), some
    60 MB at most. Elsewhere nothing changes.
    """
    import torch

    torch.empty(BLOCK, dtype=torch.uint8)
