"""The rooms of the package in their order, for docs/architecture.md.

The order is that of the layers in pyproject.toml, which import-linter enforces; the words are the
first sentences of the rooms' docstrings. A test compares the picture with what this draws.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "napari_atomseg"
WIDTH, LEFT, GAP, PADDING = 900, 46, 8, 12
"""Pixels: of the picture, of the arrow beside the rooms, between rooms, within them."""
NAME = 130
"""Pixels of the column of names."""
LINE = 18
LETTER = 6.6
"""Pixels of a letter of 13 px, about."""
COLOURS = ("#dbeafe", "#fde8d0")
"""Of the first and of the last room; those between are mixed."""
STYLE = """text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2937; }
.name { font-size: 13px; font-weight: 600; } .purpose { font-size: 13px; }
.parts { font-size: 12px; fill: #6b7280; }
.room { stroke: #94a3b8; } .way { stroke: #475569; stroke-width: 2; fill: none; }"""


@dataclass(frozen=True)
class Room:
    """A package or module at the top of the package.

    Attributes
    ----------
    name : as it is imported.
    purpose : first sentence of its docstring.
    parts : packages within it.
    """

    name: str
    purpose: str
    parts: tuple[str, ...]

    def lines(self, width: float) -> list[tuple[str, str]]:
        """Class and text of the lines beside the name, in a box of that many pixels."""
        letters = int((width - NAME - 2 * PADDING) / LETTER)
        parts = " · ".join(f"{part}/" for part in self.parts)
        return [
            *(("purpose", line) for line in textwrap.wrap(self.purpose, letters)),
            *(("parts", line) for line in textwrap.wrap(parts, letters)),
        ]


def layers() -> list[list[str]]:
    """Names of the rooms, those that use the fewest others first; neighbours in a list of one."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    (order,) = (c["layers"] for c in contracts if c["type"] == "layers")
    rows = [layer.replace(":", "|").split("|") for layer in reversed(order)]
    return [[name.strip(" ()") for name in row] for row in rows]


def room(name: str) -> Room:
    """What stands in the source of a room."""
    folder = ROOT / "src" / PACKAGE / name
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
    parts = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    return Room(name, sentence.replace("`", ""), tuple(parts))


def boxes(rows: list[list[Room]]) -> Iterator[str]:
    """The rooms, from above; last, the end of the lowest one as a number in text."""
    top = GAP
    for number, row in enumerate(rows):
        wide = (WIDTH - LEFT - GAP * len(row)) / len(row)
        texts = [each.lines(wide) for each in row]
        height = 2 * PADDING + LINE * max(map(len, texts)) - 4
        colour = mixed(number / max(1, len(rows) - 1))
        for place, (each, lines) in enumerate(zip(row, texts, strict=True)):
            left = LEFT + place * (wide + GAP)
            yield (
                f'<rect class="room" x="{left:g}" y="{top}" width="{wide:g}" height="{height}" '
                f'rx="6" fill="{colour}"/>'
            )
            yield text("name", left + PADDING, top + PADDING + 11, each.name)
            for line, (kind, words) in enumerate(lines):
                at = top + PADDING + 11 + LINE * line
                yield text(kind, left + PADDING + NAME, at, words)
        top += height + GAP
    yield str(top)


def text(kind: str, x: float, y: float, words: str) -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words, quote=False)}</text>'


def mixed(share: float) -> str:
    """A colour between the two, as #rrggbb."""
    first, last = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS)
    return "#" + "".join(
        f"{round(a + share * (b - a)):02x}" for a, b in zip(first, last, strict=True)
    )


def picture() -> str:
    """The whole picture, as SVG."""
    *parts, height = boxes([[room(name) for name in row] for row in layers()])
    end = int(height) - 2 * GAP
    arrow = f'<path class="way" d="M 22 {2 * GAP} V {end} m -7 -9 l 7 9 l 7 -9"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            arrow,
            *parts,
            "</svg>\n",
        ]
    )


def draw(folder: Path) -> None:
    """Write `architecture.svg`."""
    (folder / "architecture.svg").write_text(picture(), encoding="utf-8")
