"""Zarr arrays that are safe to read: their codecs turn bytes into numbers and do nothing else.

A codec named in a file is whatever is installed under that name; "pickle" runs code that the file
contains.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_CODECS = {
    *("bytes", "endian", "transpose", "sharding_indexed", "vlen-utf8", "crc32c"),
    *("blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma"),
    *("adler32", "crc32", "fletcher32", "jenkins_lookup3"),
    *("astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle"),
}
"""Codecs that are used, by their names in Zarr 2 and 3; those of numcodecs may have a prefix."""
_PREFIX = "numcodecs."


def require_safe(array: Any) -> None:
    """Refuse an array before its pixels are read.

    Parameters
    ----------
    array : a `zarr.Array`.

    Raises
    ------
    ValueError
        It uses another codec; the message names it.
    """
    for name in _names(array.metadata):
        if name.removeprefix(_PREFIX) not in _CODECS:
            raise ValueError(
                f"the array {array.path or '/'} uses the codec {name!r}, which is not read"
            )


def _names(metadata: Any) -> Iterator[str]:
    if metadata.zarr_format == 2:
        for codec in (metadata.compressor, *(metadata.filters or ())):
            if codec is not None:
                yield str(codec.codec_id)
        return
    yield from _named(metadata.to_dict()["codecs"])


def _named(codecs: Any) -> Iterator[str]:
    """Names of codecs of Zarr 3, also of those inside a shard."""
    for codec in codecs:
        about = codec if isinstance(codec, dict) else codec.to_dict()
        yield str(about["name"])
        inner = about.get("configuration") or {}
        for part in ("codecs", "index_codecs"):
            yield from _named(inner.get(part, ()))
