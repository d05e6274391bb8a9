"""Memory of arrays that is kept for the next ones."""

from __future__ import annotations

import ctypes
from functools import lru_cache

BLOCK = 31 << 20
"""Bytes; glibc heeds blocks of up to 32 MB."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of these settings, malloc.h of glibc."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the C library keep the memory of arrays that are freed for those that follow.

    That of Linux takes blocks from 128 kB on from the system and gives them back, and all of their
    pages are cleared anew each time, which takes longer than much of what is done with them; on
    the workers of dask, which ask for just that, restoring an image takes half as much again. From
    now on it keeps blocks of up to `BLOCK`, twice as much at most for each thread (mallopt(3)).
    Elsewhere nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, BLOCK)
    mallopt(_TRIM_THRESHOLD, 2 * BLOCK)
