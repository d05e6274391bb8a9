"""From the record that a result carries to the workflow that made it, and its chain in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_atomseg._shared.files import digest
from napari_atomseg._shared.notices import one_line
from napari_atomseg._shared.types import Sampling
from napari_atomseg.alignment.settings import AVERAGE
from napari_atomseg.io import COLUMN_SUFFIXES, IMAGE_SUFFIXES, read_columns, read_image
from napari_atomseg.io.inputs import THEN_MEASURED, columns_input, image_input
from napari_atomseg.measurements.observation import SELECTED
from napari_atomseg.measurements.registry import Needs
from napari_atomseg.settings import fields_of
from napari_atomseg.workflow.actions import ACTIONS, MEASURE
from napari_atomseg.workflow.recorded import Described, Record, Recorded, alike, as_pair, changed
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow, WorkflowError
from napari_atomseg.workflow.words import as_commands, as_python, in_words

_MADE = {MEASURE.strip(), *(name for name in ACTIONS if not name.startswith(MEASURE))}
_NAMES = {
    "restore": "restored",
    "scan": "lines",
    "align": AVERAGE,
    "segment": "labels",
    "localize": "columns",
}
"""Names of results of which the record has none."""


@dataclass(frozen=True)
class History:
    """How a result was made.

    Attributes
    ----------
    lines : a line a step, the image first.
    image : what the chain begins with; None where there is no record.
    workflow : repeats it; None where that is not possible.
    result : name of the step that gives the result.
    problem : why it cannot be repeated, a sentence; empty where it can.
    """

    lines: tuple[str, ...]
    image: Recorded | None
    workflow: Workflow | None
    result: str = ""
    problem: str = ""

    def python(self) -> str:
        """A Python script that makes the result again.

        Raises
        ------
        WorkflowError
            It cannot be repeated, or its image is in no file; the message says why.
        """
        workflow, image, file = self._repeatable()
        return as_python(
            workflow, file, dataset=image.dataset, frame=image.frame, noise=image.noise
        )

    def commands(self) -> list[str]:
        """Commands that make the result again, one a step.

        Raises
        ------
        ValueError
            As `python`, or there is no command for a step.
        """
        workflow, image, file = self._repeatable()
        return as_commands(workflow, file, dataset=image.dataset, frame=image.frame)

    def _repeatable(self) -> tuple[Workflow, Recorded, Path]:
        if self.workflow is None or self.image is None:
            raise WorkflowError(self.problem)
        if self.image.file is None or self.image.problem:
            raise WorkflowError(
                f"the image {self.image.name!r} is {self.image.problem}: save it, open the file "
                "and work on that, or save the workflow, which runs on any image"
            )
        return self.workflow, self.image, self.image.file


def history_of(described: Described) -> History:
    """Return how a result was made, and the workflow that makes it again.

    Parameters
    ----------
    described : the result as `io.inputs.image_input` or `columns_input` describe it: name, digest,
        and its record, which holds those of all that it was made from.
    """
    chain = _Chain()
    record = described.get("record") or {}
    if _action(record) is None:
        return _of_an_image(described, record)
    if changed(described) and len(described["shape"]) > 1:
        chain.problem = f"the pixels of {described['name']!r} were changed since they were made"
        described = {**described, "sha256": record["result"]}
    chain.follow(described)
    lines = ([chain.image.words] if chain.image else []) + chain.lines
    problem, workflow = chain.problem, None
    if not problem:
        try:
            workflow = Workflow.of(chain.steps, sampling=chain.sampling())
        except WorkflowError as error:
            problem = str(error)
    last = chain.steps[-1].name if chain.steps else ""
    return History(tuple(lines), chain.image, workflow, last, problem)


def described_file(path: str | Path) -> Described:
    """Describe a result in a file, a table of columns or an image, for `history_of`.

    Raises
    ------
    OSError
        It is neither.
    """
    path = Path(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        try:
            image = read_image(path)
        except OSError:
            if path.suffix.lower() not in COLUMN_SUFFIXES:
                raise
        else:
            record = image.metadata.get("provenance")
            return image_input(image.data, path.stem, record=record, **_own_file(path, record))
    return columns_input(read_columns(path), path.stem)


def _own_file(path: Path, record: Record | None) -> dict[str, Any]:
    """The file of an image that no step made, with which a chain may begin."""
    return {} if _action(record or {}) else {"file": path}


def workflow_of(described: Described) -> Workflow:
    """The workflow that makes a result again.

    Raises
    ------
    WorkflowError
        It cannot be repeated; the message says why.
    """
    found = history_of(described)
    if found.workflow is None:
        raise WorkflowError(found.problem)
    return found.workflow


def other_pixels(image: Recorded) -> str:
    """Whether the file of an image no longer has its pixels: a sentence, empty where it has them.

    The file is read.
    """
    if image.file is None:
        return f"the image {image.name!r} is {image.problem}"
    try:
        read = read_image(image.file, image.dataset, image.frame)
    except OSError as error:
        return one_line(error)
    if digest(read.data) == image.sha256:
        return ""
    return f"{image.file.name} has other pixels than those that the result was made of"


def _of_an_image(described: Described, record: Record) -> History:
    """The history of what no step made: an image as it was opened, or a layer of something else."""
    name, action = described["name"], record.get("action")
    if action == "consistency":
        told = (
            f"{name!r} compares a restored image with the recorded one: choose the restored image "
            "to repeat it"
        )
        return History((), None, None, problem=told)
    if "sha256" not in described:
        return History((), None, None, problem=f"{name!r} was not made by this plugin")
    if len(described["shape"]) == 1:
        told = f"the columns {name!r} were not localized by this plugin"
        return History((), None, None, problem=told)
    image = Recorded.of(described)
    how = f"made by {action!r}" if action else "as it was opened"
    told = f"{name!r} is an image {how}: no step was applied to it yet"
    return History((image.words,), image, None, problem=told)


@dataclass
class _Chain:
    """The steps that lead to a result, as they are found."""

    image: Recorded | None = None
    steps: list[Step] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problem: str = ""
    _known: dict[str, str] = field(default_factory=dict)
    _samplings: dict[str, float] = field(default_factory=lambda: {IMAGE: 1.0})
    """How much larger the image's pixels are than those of each result."""
    _used: list[Sampling | None] = field(default_factory=list)
    """Å per pixel of the image, as each step had it."""

    def follow(self, described: Described) -> str:
        """Add the steps that lead to an image or a table; return the name of the last one."""
        record = described.get("record") or {}
        action = _action(record)
        if len(described["shape"]) == 1 and action is None:
            self._refuse(f"the columns {described['name']!r} were not localized by this plugin")
            return IMAGE
        if action is None or (changed(described) and len(described["shape"]) > 1):
            return self._begin(described)
        known = _identity(record)
        if known not in self._known:
            inputs = record.get("inputs", {})
            self._known[known] = self._step(str(described["name"]), action, record, inputs)
        name = self._known[known]
        for measured in record.get(THEN_MEASURED, ()):
            name = self._measured(name, measured)
        if described.get("edited"):
            self._refuse(f"{described['name']!r}: {described['edited']}, which no step repeats")
        elif changed(described):
            self._refuse(
                f"the columns {described['name']!r} were changed since they were made, which no "
                "step repeats"
            )
        return name

    def sampling(self) -> Sampling | None:
        """Å per pixel that the workflow must state: what the image does not say itself."""
        own = None if self.image is None else self.image.sampling
        if all(each == own for each in self._used):
            return None
        if not all(alike(each, self._used[0]) for each in self._used):
            raise WorkflowError("the steps had pixels of different sizes")
        if self._used[0] is None:
            raise WorkflowError("the steps did not use the size of a pixel that the image states")
        return self._used[0]

    def _begin(self, described: Described) -> str:
        record = described.get("record") or {}
        if record.get("action") == "consistency":
            self._refuse(f"{described['name']!r} is no image but a test of one")
        image = Recorded.of(described)
        if self.image is None:
            self.image = image
        elif image.sha256 != self.image.sha256:
            self._refuse(
                f"it was made of two images, {self.image.name!r} and {image.name!r}: a workflow "
                "has one"
            )
        return IMAGE

    def _measured(self, columns: str, record: Record) -> str:
        """Add a measurement of columns that are a step already."""
        known = _identity(record) + columns
        if known not in self._known:
            kind = _action(record) or ""
            self._known[known] = self._step("", kind, record, record.get("inputs", {}), columns)
        return self._known[known]

    def _step(
        self, name: str, action: str, record: Record, inputs: Described, columns: str = ""
    ) -> str:
        if not columns and "of" not in inputs:
            self._refuse(f"the record of {name or action!r} does not say what it was made of")
            return IMAGE
        of = columns or self.follow(inputs["of"])
        if action not in ACTIONS:
            self._refuse(f"{action!r} is no step of a workflow")
            return of
        what = ACTIONS[action]
        # Panels choose an image for measurements that do not look at it, too.
        seen = "on" in inputs and what.image is not Needs.NOTHING
        on = self.follow(inputs["on"]) if seen else IMAGE
        beside = {"on": on}
        if action.startswith(MEASURE) and what.takes == "image":
            beside = {"columns": of} if "on" in inputs and what.columns is Needs.OPTIONAL else {}
            of = on if "on" in inputs else of
        settings = dict(record["settings"])
        self._note_sampling(action, of, settings)
        made = self._made_step(
            {"name": self._named(name, action, inputs), "action": action, "of": of, **beside},
            settings,
            record,
        )
        for problem in _not_repeated(what.image, action, settings, record, self._subset(of)):
            self._refuse(problem)
        if made is None:
            return of
        self.steps.append(made)
        self.lines.append(in_words(made))
        finer = 2.0 if settings.get("task") == "upinterpolation" else 1.0
        self._samplings[made.name] = self._samplings[of] * finer
        return made.name

    def _made_step(
        self, start: dict[str, Any], settings: dict[str, Any], record: Record
    ) -> Step | None:
        action = start["action"]
        known = fields_of(ACTIONS[action].settings)
        taken = record.get("inputs", {}).get("of", {}).get("taken")
        try:
            return Workflow.of(
                [
                    *self.steps,
                    {
                        **start,
                        "settings": {k: v for k, v in settings.items() if k in known},
                        "region": record.get("polygons"),
                        "frame": record.get("frame", taken),
                        "model": record.get("model", ""),
                        "sha256": record.get("sha256", ""),
                    },
                ]
            ).steps[-1]
        except WorkflowError as error:
            self._refuse(str(error))
            return None

    def _note_sampling(self, action: str, of: str, settings: dict[str, Any]) -> None:
        """Take the size of a pixel from the settings, unless a measurement has one of its own."""
        if "sampling" not in settings:
            return
        used, finer = as_pair(settings["sampling"]), self._samplings.get(of, 1.0)
        if used is not None:
            used = (used[0] * finer, used[1] * finer) if isinstance(used, tuple) else used * finer
        own = action.startswith(MEASURE) and used is not None and self._used
        if not own or alike(used, self._used[0]):
            self._used.append(used)
            del settings["sampling"]

    def _subset(self, of: str) -> bool:
        """Whether a step measured only some of the columns."""
        step = next((each for each in self.steps if each.name == of), None)
        return step is not None and step.settings.get("use", "all") != "all"

    def _named(self, name: str, action: str, inputs: Described) -> str:
        """A name for a result, without that of the image and its frame, unlike those before."""
        kind = action.removeprefix(MEASURE)
        if self.image is not None:
            taken = ", ".join(map(str, inputs.get("of", {}).get("taken", ())))
            name = name.removeprefix(self.image.name).strip().removeprefix(f"frame {taken}")
        if action.startswith(MEASURE):
            name = kind
        plain = name.strip(" -_") or _NAMES.get(action, kind)
        others = {IMAGE, *(step.name for step in self.steps)}
        number, unique = 1, plain
        while unique in others:
            number += 1
            unique = f"{plain} {number}"
        return unique

    def _refuse(self, why: str) -> None:
        """Note the first reason for which the result cannot be repeated."""
        self.problem = self.problem or why


def _not_repeated(
    image: Needs, action: str, settings: Mapping[str, Any], record: Record, subset: bool
) -> Iterator[str]:
    """What of a step a workflow does not hold, in words."""
    region = settings.get("region")
    if action == "localize" and region and record.get("polygons") is None:
        yield (
            f"the columns were limited to the labels {region!r}, which a workflow does not hold: "
            "draw the region as shapes"
        )
    if settings.get("use") == SELECTED:
        yield "selected columns were measured, and a selection differs by image"
    if subset:
        yield (
            f"{action.removeprefix(MEASURE)!r} was measured of all columns after a measurement of "
            "some of them"
        )
    if action == "align" and record.get("part", AVERAGE) != AVERAGE:
        yield f"a workflow takes the average of aligned frames, not their {record['part']}"
    if action.startswith(MEASURE):
        if not record.get("aligned", True):
            yield "the image of the measurement does not lie on the columns"
        if image is Needs.OPTIONAL and "on" not in record.get("inputs", {}):
            yield f"{action.removeprefix(MEASURE)!r} was measured without the image"


def _action(record: Record) -> str | None:
    """The action that made a result, as workflows call it; None where no step did."""
    action = str(record.get("action", ""))
    if action == MEASURE.strip():
        return f"{MEASURE}{record['settings'].get('measure')}"
    return action if action in _MADE or action in ACTIONS else None


def _identity(record: Record) -> str:
    """What a record and its copy have in common."""
    own = {name: value for name, value in record.items() if name != THEN_MEASURED}
    return json.dumps(own, sort_keys=True, default=str)
