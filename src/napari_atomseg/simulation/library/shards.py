"""Shards of Zarr arrays, a chunk a sample (Zarr 3, codec `sharding_indexed`).

They are those that zarr writes for arrays of `CODECS`. It runs a task for each chunk and codec,
which takes longer than the coding, and puts the parts together anew at each step.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 1
"""Of the compression by Blosc, with LZ4 and the bits sorted by their places."""
CHECKSUM = 4
"""Bytes of the checksum behind each chunk and behind their index (CRC-32C)."""
NOWHERE = 2**64 - 1
"""Offset and length of a chunk that is not there."""

Chunk = NDArray[Any] | str | None


def compressors() -> list[Any]:
    """The codecs of the chunks, after their bytes or characters."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    return [BloscCodec(cname="lz4", clevel=LEVEL, shuffle="bitshuffle"), Crc32cCodec()]


def shard(chunks: Sequence[Chunk], room: int) -> bytes:
    """The file of a shard: chunks one after the other, and where each lies.

    Parameters
    ----------
    chunks : numbers or a text each; None for a chunk of zeros.
    room : chunks that the shard has; those after the given ones are not there.
    """
    index = np.full((room, 2), NOWHERE, "<u8")
    parts: list[bytes] = []
    place = 0
    for row, chunk in zip(index, chunks, strict=False):
        if chunk is not None:
            part = _coded(chunk)
            row[:] = place, len(part) + CHECKSUM
            parts += [part, _checksum(part)]
            place += len(part) + CHECKSUM
    parts += [index.tobytes(), _checksum(index.tobytes())]
    return b"".join(parts)


def _coded(chunk: NDArray[Any] | str) -> bytes:
    import numcodecs.blosc as blosc

    if isinstance(chunk, str):
        text = chunk.encode()
        content: Any = struct.pack("<II", 1, len(text)) + text  # one text, its length
    else:
        content = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
    coded: bytes = blosc.compress(content, b"lz4", LEVEL, blosc.BITSHUFFLE)
    return coded


def _checksum(data: bytes) -> bytes:
    import google_crc32c

    return struct.pack("<I", google_crc32c.value(data))
