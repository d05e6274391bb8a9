"""Write the table of losses in docs/training.md anew, from the registered losses.

Run it with ``python docs/scripts/losses.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_atomseg.training.losses import KINDS, Loss

PAGE = Path(__file__).parents[1] / "training.md"
TABLE = re.compile(r"(?<=<!-- losses -->\n).*?(?=<!-- end -->)", re.DOTALL)
"""Lines of the page between its two marks."""
USES = {"values": "both", "logits": "probabilities", "noise": "intensities"}


def table() -> str:
    """The table in Markdown, a row a loss."""
    rows = ["| `kind` | what it is | for |", "|---|---|---|", *map(row, KINDS.values())]
    return "\n".join(rows) + "\n"


def row(loss: type[Loss]) -> str:
    """A row of the table: the first line of the docstring says what the loss is."""
    kind = loss.model_fields["kind"].default
    line = (loss.__doc__ or "").splitlines()[0].removesuffix(".").replace("|", r"\|")
    return f"| `{kind}` | {line} | {USES[loss.takes]} |"


def main() -> None:
    """Write the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _match: table(), page), encoding="utf-8")


if __name__ == "__main__":
    main()
