"""Tables, lists and a picture of the documentation that are made when the pages are built."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_atomseg import analysis
from napari_atomseg.distortion import KINDS, Distortion
from napari_atomseg.settings import Setting, fields_of
from napari_atomseg.training import losses
from napari_atomseg.weights.registry import read_registry

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_PLACE = re.compile(r"<!-- distortions: ([\w, ]+) -->")
_LOSSES = "<!-- losses -->"
_ANALYSIS = "<!-- analysis -->"
_MODELS = "<!-- models -->"
OTHERS = "others"
USES = {
    "values": "both",
    "logits": "probabilities",
    "noise": "intensities",
    "shifts": "displacements of lines",
}
"""Kinds of tasks that a loss is for, by the prediction that it takes."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the picture of all kinds of distortions, drawn anew."""
    from mkdocs.structure.files import File

    with TemporaryDirectory() as folder:
        script = runpy.run_path(str(Path(__file__).with_name("distortions.py")))
        script["draw"](Path(folder))
        content = Path(folder, "distortions.png").read_bytes()
    files.append(File.generated(config, "images/distortions.png", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put tables and lists in place of comments such as ``<!-- losses -->``."""
    markdown = markdown.replace(_LOSSES, loss_table()).replace(_ANALYSIS, analysis_list())
    markdown = markdown.replace(_MODELS, model_rows())
    named = {name for found in _PLACE.findall(markdown) for name in found.split(", ")}
    return _PLACE.sub(lambda found: distortion_table(found[1].split(", "), named), markdown)


def distortion_table(modules: list[str], named: Collection[str] = ()) -> str:
    """Return a table of the kinds in some modules; "others": of the modules that are not named."""
    rows = [
        _row(part)
        for part in KINDS.values()
        if (module := part.__module__.rpartition(".")[2]) in modules
        or (OTHERS in modules and module not in named)
    ]
    head = ["| kind | equation | numbers (default range) |", "|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else ""


def loss_table() -> str:
    """Return a table of the registered losses; a docstring's first line describes its loss."""
    rows = []
    for kind, loss in losses.KINDS.items():
        line = (loss.__doc__ or "").splitlines()[0].removesuffix(".")
        rows.append(f"| `{kind}` | {line} | {USES[loss.takes]} |")
    return "\n".join(["| `kind` | what it is | for |", "|---|---|---|", *rows])


def model_rows() -> str:
    """Return a row for each published model: its modality, tasks and range of spacings."""
    rows = []
    for entry in read_registry().values():
        tasks = ", ".join(f"`{task}`" for task in entry.tasks)
        spacings = "–".join(f"{edge:.0f}" for edge in entry.spacing_range or ())
        rows.append(f"| `{entry.name}` | {entry.modality} | {tasks} | {spacings or 'any'} |")
    return "\n".join(rows)


def analysis_list() -> str:
    """Return a directive for the docstring of each public name of `napari_atomseg.analysis`."""
    room = analysis.__name__
    # Some functions have the name of their module.
    inside = [
        f"{name}.{name}" if f"{room}.{name}" in sys.modules else name for name in analysis.__all__
    ]
    return "\n".join(f"::: {room}.{name}" for name in inside)


def _row(part: type[Distortion]) -> str:
    kind = part.model_fields["kind"].default
    also = " (image and truth)" if part.shared else ""
    ranges = [known for known in fields_of(part).values() if known.choices is None]
    numbers = "; ".join(_number(known) for known in ranges if not known.none)
    return f"| `{kind}`{also} | {part.equation} | {numbers} |"


def _number(known: Setting) -> str:
    values = known.default if isinstance(known.default, tuple) else (known.default,)
    dash = ", " if len(values) > 2 else "–"
    default = dash.join(dict.fromkeys(f"{value:g}".replace("-", "−") for value in values))
    unit = f" {known.unit}" if known.unit else ""
    return f"`{known.name}` ({default}{unit}): {known.help.removesuffix('.')}"
