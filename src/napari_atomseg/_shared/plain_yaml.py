"""YAML as plain values, within limits: a few lines can make a program hang.

Aliases let a line stand for millions, and brackets can be nested without end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST_TEXT = 2**22
"""Characters."""
LARGEST_COUNT = 100_000
"""Values, those that aliases repeat counted each time."""
DEEPEST = 100
"""Levels of lists and mappings in each other."""
_BOOL = "tag:yaml.org,2002:bool"


def read_yaml(text: str, *, words: bool = False) -> Any:
    """The value of a YAML text.

    Parameters
    ----------
    words : whether "on", "off", "yes" and "no" are words, as in YAML 1.2, and not true or false.

    Raises
    ------
    ValueError
        It is not YAML, or larger than the limits above.
    """
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"it has more than {LARGEST_TEXT} characters")
    try:
        loader = (_WordsLoader if words else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, 1)
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_yaml_file(path: Path, **options: Any) -> Any:
    """The value of a YAML file; see `read_yaml`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It holds no YAML, or too much; the message names it.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: this is no regular file")
    if path.stat().st_size > 4 * LARGEST_TEXT:
        raise ValueError(f"{path} is not a YAML file: it is too large")
    try:
        return read_yaml(path.read_text(encoding="utf-8"), **options)
    except ValueError as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from error


def _measure(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Values in a node; those of one that several aliases stand for are counted at each."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    if id(node) not in known:
        known[id(node)] = LARGEST_COUNT  # of a node that holds itself
        children: Any = ()
        if isinstance(node, yaml.MappingNode):
            children = (each for pair in node.value for each in pair)
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_measure(each, known, depth + 1) for each in children)
    if known[id(node)] > LARGEST_COUNT:
        raise ValueError(f"it holds more than {LARGEST_COUNT} values")
    return known[id(node)]


class _WordsLoader(yaml.SafeLoader):
    """Plain YAML in which "on" is a word."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class has it as an attribute
        first: [each for each in known if first not in "oOyYnN" or each[0] != _BOOL]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
