"""A workflow written for others: in words, as a Python script, as commands."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_atomseg.measurements.registry import Needs
from napari_atomseg.settings import NONE, Setting, fields_of, written
from napari_atomseg.workflow.actions import MEASURE
from napari_atomseg.workflow.saved import file_name
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow

_ENDINGS = {"image": ".tif", "labels": ".tif", "columns": ".csv", "report": ".csv"}
_DONE = {
    "restore": "{} restored",
    "scan": "scan lines of {} put back",
    "segment": "columns of {} segmented",
    "localize": "columns of {} localized",
}
"""What each action did with its input; measurements take their names."""


def in_words(step: Step) -> str:
    """What a step does, in one line: its settings that are not the defaults, and its model."""
    measured = step.action.removeprefix(MEASURE).replace("_", " ")
    done = _DONE.get(step.action, measured + " of {} measured").format(repr(step.of))
    settings = step.what.changed(step.what.checked(step.settings))
    settings.pop("model", None)
    known = fields_of(step.what.settings)
    details = [_detail(known[key], value) for key, value in settings.items()]
    if step.region is not None:
        details.append(f"in {len(step.region)} region{'s' * (len(step.region) != 1)}")
    by = f" by {step.model}" if step.model else ""
    text = done + by + (f": {', '.join(details)}" if details else "")
    return text[0].upper() + text[1:]


def as_python(
    workflow: Workflow,
    image: str | Path,
    *,
    dataset: int | str | None = None,
    frame: int | None = None,
) -> str:
    """A Python script that applies a workflow to an image file.

    Parameters
    ----------
    image : the file.
    dataset, frame : of the file, see `io.read_image`.
    """
    chosen = {"dataset": dataset, "frame": frame}
    more = "".join(f", {name}={value!r}" for name, value in chosen.items() if value is not None)
    pixel = f"{IMAGE}.sampling" if workflow.sampling is None else repr(workflow.sampling)
    names = {IMAGE: f"{IMAGE}.data"}
    lines = [
        "import napari_atomseg as atomseg",
        "from napari_atomseg.io import read_image",
        "",
        f"{IMAGE} = read_image({str(image)!r}{more})",
    ]
    for step in workflow.steps:
        variable = _identifier(step.name, names)
        lines.append(f"{variable} = {_call(step, names, pixel)}")
        names[step.name] = f"{variable}.columns" if step.what.gives == "report" else variable
    return "\n".join(lines) + "\n"


def as_commands(workflow: Workflow, image: str | Path) -> list[str]:
    """Commands that apply a workflow to an image file, one a step.

    Raises
    ------
    ValueError
        A step is limited to polygons, which commands take as a file of labels only.
    """
    files = {IMAGE: Path(image)}
    commands = []
    for step in workflow.steps:
        if step.region is not None:
            raise ValueError(
                f"{step.name}: commands take a region as a label image (--region); "
                "use the workflow file or the Python script"
            )
        result = Path(image).with_name(
            f"{Path(image).stem}-{file_name(step.name)}{_ENDINGS[step.what.gives]}"
        )
        of_image = step.action.startswith(MEASURE) and step.what.takes == "image"
        words = ["napari-atomseg", *step.action.replace("_", "-").split(), str(files[step.of])]
        if step.what.takes == "columns" and step.what.image is Needs.REQUIRED:
            words.insert(-1, str(files[step.on]))
        elif len(step.inputs) > 1:
            words += ["--image", str(files[step.on])]
        words += ["-o", str(result.with_suffix("") if of_image else result)]
        settings = step.what.changed(step.what.checked(step.settings))
        if workflow.sampling is not None:
            settings["sampling"] = workflow.sampling
        known = fields_of(step.what.settings)
        for name, value in settings.items():
            words += _option(name, value, known.get(name))
        commands.append(shlex.join(words))
        files[step.name] = result
    return commands


def _call(step: Step, names: dict[str, str], pixel: str) -> str:
    settings = step.what.changed(step.what.checked(step.settings))
    settings.pop("consistency", None)
    name = step.action.removeprefix(MEASURE)
    function = f"measurements.{name}" if step.action.startswith(MEASURE) else step.action
    function = {"scan": "correct_scan"}.get(function, function)
    given = [names[step.of]]
    if len(step.inputs) > 1:
        given.append(names[step.on])
    elif step.action.startswith(MEASURE) and step.what.takes == "image":
        given = [f"image={given[0]}"]
    settings.pop("sampling", None)
    scale = f"sampling={pixel}"
    if step.settings.get("sampling") is not None:
        scale = f"sampling={step.settings['sampling']!r}"
    words = [f"{key}={_literal(value)}" for key, value in settings.items()]
    if step.region is not None:
        words.append(f"region={[list(polygon) for polygon in step.region]!r}")
    text = f"atomseg.{function}({', '.join([*given, scale, *words])})"
    return f"{text}.image" if step.action == "scan" else text


def _literal(value: Any) -> str:
    return repr(str(value) if isinstance(value, Path) else value)


def _option(name: str, value: Any, known: Setting | None) -> Iterator[str] | list[str]:
    """A setting as the words of a command."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option if value else f"--no-{option.removeprefix('--')}"]
    if value is None:
        return [option, NONE]
    if known is not None and known.read is not None:
        return [option, written(value)]
    if isinstance(value, tuple):
        if known is not None and known.length == 0:
            return [word for each in value for word in (option, str(each))]
        return [option, *map(str, value)]
    return [option, str(value)]


def _detail(known: Setting, value: Any) -> str:
    text = "none" if value is None else written(value)
    if known.choices is not None:
        text = str(known.choices.get(value, text))
    unit = f" {known.unit}" if known.unit and value is not None else ""
    return f"{known.label.lower()} {text}{unit}"


def _identifier(name: str, taken: dict[str, str]) -> str:
    """A variable of Python for a result, unlike those before."""
    plain = re.sub(r"\W+", "_", name).strip("_").lower() or "result"
    if plain[0].isdigit() or keyword.iskeyword(plain) or plain == "atomseg":
        plain = f"{plain}_" if plain.isidentifier() else f"step_{plain}"
    used = {value.removesuffix(".columns").removesuffix(".data") for value in taken.values()}
    number, unique = 1, plain
    while unique in used:
        number += 1
        unique = f"{plain}_{number}"
    return unique
