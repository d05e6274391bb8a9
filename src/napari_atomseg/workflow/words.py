"""A workflow written for others: in words, as a Python script, as commands."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_atomseg.alignment.settings import NOISE
from napari_atomseg.measurements import MEASUREMENTS
from napari_atomseg.measurements.registry import Needs
from napari_atomseg.settings import NONE, Setting, fields_of, written
from napari_atomseg.workflow.actions import MEASURE
from napari_atomseg.workflow.saved import file_name
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow

_ENDINGS = {"image": ".tif", "labels": ".tif", "columns": ".csv", "report": ".csv"}
_DONE = {
    "restore": "{} restored",
    "scan": "scan lines of {} put back",
    "align": "frames of {} aligned and averaged",
    "segment": "columns of {} segmented",
    "localize": "columns of {} localized",
}
"""What each action did with its input; measurements take their names."""


def in_words(step: Step) -> str:
    """What a step does, in one line: its settings that are not the defaults, and its model."""
    measured = MEASUREMENTS.get(step.action.removeprefix(MEASURE))
    title = "" if measured is None else f"{measured.title} of {{}} measured"
    of = repr(step.of)
    if step.frame is not None:
        of = f"frame {', '.join(map(str, step.frame))} of {of}"
    done = _DONE.get(step.action, title).format(of)
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
    noise: bool = False,
) -> str:
    """A Python script that applies a workflow to an image file.

    Parameters
    ----------
    image : the file.
    dataset, frame : of the file, see `io.read_image`.
    noise : whether the file says how far its pixels share their noise, as those of averages do.
    """
    chosen = {"dataset": dataset, "frame": frame}
    more = "".join(f", {name}={value!r}" for name, value in chosen.items() if value is not None)
    pixel = f"{IMAGE}.sampling" if workflow.sampling is None else repr(workflow.sampling)
    script = _Script({IMAGE: f"{IMAGE}.data"}, {IMAGE: pixel})
    if noise:
        script.noises[IMAGE] = f"{IMAGE}.metadata['provenance'][{NOISE!r}]"
    lines = [
        "import napari_atomseg as atomseg",
        "from napari_atomseg.io import read_image",
        "",
        f"{IMAGE} = read_image({str(image)!r}{more})",
    ]
    for step in workflow.steps:
        lines += script.lines(step)
    return "\n".join(lines) + "\n"


def as_commands(
    workflow: Workflow,
    image: str | Path,
    *,
    dataset: int | str | None = None,
    frame: int | None = None,
) -> list[str]:
    """Commands that apply a workflow to an image file, one a step.

    Parameters
    ----------
    image : the file.
    dataset, frame : of the file, see `io.read_image`.

    Raises
    ------
    ValueError
        There are no commands for a step: it is limited to polygons, which commands take as a file
        of labels only, or measures a frame that is not in both of its files.
    """
    files, stacks = {IMAGE: Path(image)}, set() if frame is not None else {IMAGE}
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
        if step.with_image and step.what.image is Needs.REQUIRED:
            words.insert(-1, str(files[step.on]))
        elif step.with_image:
            words += ["--image", str(files[step.on])]
        elif step.columns:
            words += ["--columns", str(files[step.columns])]
        words += ["-o", str(result.with_suffix("") if of_image else result)]
        if dataset is not None and IMAGE in step.inputs:
            words += ["--dataset", str(dataset)]
        words += _frame_option(step, frame, stacks)
        settings = step.what.changed(step.what.checked(step.settings))
        if workflow.sampling is not None and step.of == IMAGE:
            settings["sampling"] = workflow.sampling
        known = fields_of(step.what.settings)
        for name, value in settings.items():
            words += _option(name, value, known.get(name))
        commands.append(shlex.join(words))
        files[step.name] = result
        if step.of in stacks and step.frame is None and step.action != "align":
            stacks.add(step.name)
    return commands


def _frame_option(step: Step, frame: int | None, stacks: set[str]) -> list[str]:
    """The option for the frame that a step takes of its files, of which some are stacks."""
    measures = step.action.startswith(MEASURE)
    if frame is not None and IMAGE in step.inputs:
        if measures:
            raise ValueError(
                f"{step.name}: commands measure the frames of tables and images that are stacks; "
                "use the workflow file or the Python script"
            )
        return ["--frame", str(frame)]
    of_stacks = [name in stacks for name in step.inputs]
    if step.frame is None or not any(of_stacks):
        return []
    if not all(of_stacks) or len(step.frame) > 1:
        raise ValueError(
            f"{step.name}: commands take a frame of stacks with one axis of frames, and of all "
            "files; use the workflow file"
        )
    return ["--frame", str(step.frame[0])]


@dataclass
class _Script:
    """Names of a script for the results of steps.

    Attributes
    ----------
    names, samplings, noises : what stands for the values, the size of a pixel, and the noise of
        each result.
    single : results with one image, of a step that took a frame or an average.
    """

    names: dict[str, str]
    samplings: dict[str, str]
    noises: dict[str, str] = field(default_factory=dict)
    single: set[str] = field(default_factory=set)

    def lines(self, step: Step) -> Iterator[str]:
        """The lines of a step."""
        variable = _identifier(step.name, self.names)
        yield f"{variable} = {self._call(step)}"
        part = ".columns" if step.what.gives == "report" else ""
        if step.action == "align":
            part, self.noises[step.name] = ".average", f"{variable}.record()[{NOISE!r}]"
        self.names[step.name] = f"{variable}{part}"
        self.samplings[step.name] = self.samplings[step.of]
        if step.frame is not None or step.action == "align" or step.of in self.single:
            self.single.add(step.name)
        if step.settings.get("task") == "upinterpolation":
            finer = self.samplings[step.name] = _identifier(f"{variable} sampling", self.names)
            self.names[f"sampling of {step.name}"] = finer
            yield f"{finer} = {self.samplings[step.of]}"
            yield (
                f"{finer} = tuple(0.5 * each for each in {finer}) "
                f"if isinstance({finer}, tuple) else {finer} and 0.5 * {finer}"
            )

    def _call(self, step: Step) -> str:
        settings = step.what.changed(step.what.checked(step.settings))
        settings.pop("consistency", None)
        measures = step.action.startswith(MEASURE)
        name = step.action.removeprefix(MEASURE)
        function = f"measurements.{name}" if measures else step.action
        function = {"scan": "correct_scan"}.get(function, function)
        given = [self._value(step.of, step)]
        if step.with_image:
            given.append(self._value(step.on, step))
        elif step.columns:
            given.insert(0, self._value(step.columns, step))
        elif measures and step.what.takes == "image":
            given = [f"image={given[0]}"]
        own = settings.pop("sampling", None)
        given.append(f"sampling={self.samplings[step.of] if own is None else repr(own)}")
        given += [f"{key}={_literal(value)}" for key, value in settings.items()]
        if step.region is not None:
            given.append(f"region={[list(polygon) for polygon in step.region]!r}")
        if step.action == "localize" and step.of in self.noises:
            given.append(f"noise={self.noises[step.of]}")
        text = f"atomseg.{function}({', '.join(given)})"
        return f"{text}.image" if step.action == "scan" else text

    def _value(self, source: str, step: Step) -> str:
        """What stands for a result, or for the frame of it that a step takes."""
        name = self.names[source]
        if step.frame is None or source in self.single:
            return name
        if name.endswith(".columns") or source == step.columns or _gives_table(step, source):
            if len(step.frame) > 1:
                raise ValueError(
                    f"{step.name}: scripts measure frames of stacks with one axis of frames; use "
                    "the workflow file"
                )
            return f"{name}[{name}['frame'] == {step.frame[0]}].reset_index(drop=True)"
        return f"{name}[{', '.join(map(str, step.frame))}]"


def _gives_table(step: Step, source: str) -> bool:
    return step.what.takes == "columns" and source == step.of


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
    used = {value.partition(".")[0] for value in taken.values()}
    number, unique = 1, plain
    while unique in used:
        number += 1
        unique = f"{plain}_{number}"
    return unique
