"""A workflow as data: steps in order, each applied to the image or to what an earlier one made.

As YAML::

    made_with: 0.1.0
    steps:
      - {name: denoised, action: restore, settings: {task: denoise}}
      - {name: columns, action: localize, settings: {refine: joint}}
      - {name: strain, action: measure strain, of: columns, settings: {radius: 20.0}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_atomseg._shared.files import package_version, plain, whole_file
from napari_atomseg._shared.notices import one_line
from napari_atomseg._shared.plain_yaml import read_yaml_file
from napari_atomseg.measurements.registry import Needs
from napari_atomseg.workflow.actions import ACTIONS, Action

IMAGE = "image"
"""Name of the image that a workflow is applied to."""
"""Bytes; a workflow of a hundred steps has a tenth of this."""
_MOST_STEPS = 1000

Polygon = tuple[tuple[float, float], ...]


class WorkflowError(ValueError):
    """A workflow that cannot be used; the message names the step and what is wrong with it."""


class Step(BaseModel):
    """One step of a workflow.

    Attributes
    ----------
    name : of its result, by which later steps refer to it.
    action : a key of `ACTIONS`.
    of : what it is applied to: "image", or the name of an earlier step.
    on : the image of a measurement of columns.
    columns : the step whose columns a measurement of an image takes too; "" for none.
    settings : of the action; those that are not given have their defaults.
    region : polygons (V, 2) of y, x in pixels that "localize" is limited to.
    frame : index along the leading axes of a stack of the one image that is taken, of a measurement
        also of its columns.
    model, sha256 : name and hash of the weights it was made with, for comparison.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(min_length=1)
    action: str
    of: str = IMAGE
    on: str = IMAGE
    columns: str = ""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    region: tuple[Polygon, ...] | None = None
    frame: tuple[int, ...] | None = None
    model: str = ""
    sha256: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r}; choose one of {', '.join(ACTIONS)}")
        if self.region is not None and self.action != "localize":
            raise ValueError(f"a region limits 'localize', not {self.action!r}")
        if self.columns and self.what.columns is not Needs.OPTIONAL:
            raise ValueError(f"columns are no choice of {self.action!r}: see 'of'")
        try:
            self.what.checked(self.settings)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def what(self) -> Action:
        """The action itself."""
        return ACTIONS[self.action]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all that it is applied to: first what it is of, then the image or columns."""
        if self.with_image:
            return self.of, self.on
        return (self.of, self.columns) if self.columns else (self.of,)

    @property
    def with_image(self) -> bool:
        """Whether it measures columns on their image."""
        return self.what.takes == "columns" and self.what.image is not Needs.NOTHING


class Workflow(BaseModel):
    """Steps in the order in which they are done.

    Attributes
    ----------
    steps : the steps.
    sampling : Å per pixel, one number or (dy, dx), in place of what images say themselves.
    made_with : version of the package that it was made with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = Field(min_length=1, max_length=_MOST_STEPS)
    sampling: float | tuple[float, float] | None = None
    made_with: str = Field(default_factory=package_version)

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = {IMAGE: "image"}
        for step in self.steps:
            if step.name in kinds:
                raise ValueError(f"two results are called {step.name!r}")
            for place, name in enumerate(step.inputs):
                beside = "image" if step.with_image else "columns"
                wanted = step.what.takes if place == 0 else beside
                if name not in kinds:
                    raise ValueError(f"step {step.name!r} takes {name!r}: no step before makes it")
                if not _fits(kinds[name], wanted):
                    raise ValueError(
                        f"step {step.name!r} ({step.action}) takes {wanted}, "
                        f"but {name!r} is {kinds[name]}"
                    )
            kinds[step.name] = step.what.gives
        return self

    @classmethod
    def of(cls, steps: Iterable[Step | Mapping[str, Any]], **more: Any) -> Workflow:
        """A workflow of steps.

        Raises
        ------
        WorkflowError
            A step is wrong, or refers to none before it.
        """
        return _made({"steps": tuple(steps), **more}, "workflow")

    @classmethod
    def load(cls, path: str | Path) -> Workflow:
        """Read a workflow from a YAML file.

        Raises
        ------
        OSError
            The file cannot be read.
        WorkflowError
            It holds no workflow; the message names the file and the step.
        """
        try:
            content = read_yaml_file(Path(path), words=True)
        except ValueError as error:
            raise WorkflowError(one_line(error)) from error
        if not isinstance(content, dict):
            raise WorkflowError(f"{path}: a workflow has a list called 'steps'")
        return _made(content, str(path))

    def save(self, path: str | Path) -> None:
        """Write the workflow as YAML, whole or not at all."""
        with whole_file(Path(path)) as partial:
            partial.write_text(self.yaml(), encoding="utf-8")

    def yaml(self) -> str:
        """The workflow as YAML, with every setting."""
        content = {
            "made_with": self.made_with,
            **({} if self.sampling is None else {"sampling": plain(self.sampling)}),
            "steps": [_content(step) for step in self.steps],
        }
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def _content(step: Step) -> dict[str, Any]:
    """A step for YAML, without what is empty."""
    content: dict[str, Any] = {"name": step.name, "action": step.action}
    names = ("of", "on" if step.with_image else "columns")[: len(step.inputs)]
    content |= {name: getattr(step, name) for name in names}
    content["settings"] = plain(step.what.checked(step.settings))
    if step.region is not None:
        content["region"] = plain(step.region)
    if step.frame is not None:
        content["frame"] = list(step.frame)
    if step.model:
        content |= {"model": step.model, "sha256": step.sha256}
    return content


def _fits(kind: str, wanted: str) -> bool:
    """Whether a result can be taken; reports hold the columns that they measured."""
    return kind == wanted or (kind, wanted) == ("report", "columns")


def _made(content: Mapping[Any, Any], where: str) -> Workflow:
    try:
        return Workflow.model_validate(content)
    except (ValidationError, TypeError) as error:
        raise WorkflowError(f"{where}: {_first(error, content)}") from None


def _first(error: Exception, content: Mapping[Any, Any]) -> str:
    """The first fault in one line, with the step in which it is."""
    if not isinstance(error, ValidationError):
        return one_line(error)
    # A name that is not known explains why another is missing.
    fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = list(fault["loc"])
    step = ""
    if len(place) > 1 and place[0] == "steps" and isinstance(place[1], int):
        given = content["steps"][place[1]]
        name = given.get("name", "") if isinstance(given, Mapping) else getattr(given, "name", "")
        step = f"step {place[1] + 1}" + (f" ({name})" if name else "") + ": "
        place = place[2:]
    text = str(fault["msg"]).removeprefix("Value error, ")
    return f"{step}{'.'.join(map(str, place))}{': ' if place else ''}{text}"
