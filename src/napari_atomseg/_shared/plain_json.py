"""JSON from files as plain values, within limits: brackets can be nested without end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_TEXT = 2**26
"""Characters."""
LARGEST_COUNT = 5_000_000
"""Values: those of a frame of a long series, with its description, are some thousands."""
DEEPEST = 100
"""Levels of lists and mappings in each other."""
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is not JSON, or larger than the limits above.
    """
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"it has more than {LARGEST_TEXT} characters")
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text))
    signs = np.frombuffer(_TEXT.sub("", text).encode("ascii", "replace"), np.uint8)
    opened = np.isin(signs, list(b"[{"))
    if np.cumsum(opened.astype(np.int32) - np.isin(signs, list(b"]}"))).max(initial=0) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    if np.count_nonzero(opened) + np.count_nonzero(signs == ord(",")) > LARGEST_COUNT:
        raise ValueError(f"it holds more than {LARGEST_COUNT} values")
    return json.loads(text)


def read_json_file(path: Path) -> Any:
    """The value of a JSON file; see `read_json`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It holds no JSON, or too much; the message names it.
    """
    if path.stat().st_size > LARGEST_TEXT:
        raise ValueError(f"{path} is not a JSON file of ours: it is too large")
    try:
        return read_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
