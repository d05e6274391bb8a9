"""From the records that results carry to the workflow that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari_atomseg.settings import fields_of
from napari_atomseg.workflow.actions import ACTIONS, MEASURE, Action
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow, WorkflowError

Record = Mapping[str, Any]
"""What `io.provenance` writes: action, source, settings, model."""

_FOLLOWS_IMAGE = ("sampling",)
"""Settings that panels and commands take from the image, and so does a repetition."""


def workflow_of(name: str, records: Mapping[str, Record]) -> Workflow:
    """The workflow that led to a result.

    Parameters
    ----------
    name : of the result.
    records : those of all results that there are, by name; what has none is the image.

    Raises
    ------
    WorkflowError
        The result was not made from an image by steps that can be repeated; the message says why.
    """
    chain: list[Step] = []
    _follow(name, records, chain, ())
    if not chain:
        raise WorkflowError(f"{name!r} was not made by this plugin")
    return Workflow.of(chain)


def _follow(
    name: str, records: Mapping[str, Record], chain: list[Step], above: tuple[str, ...]
) -> str:
    """Add the steps that lead to a result; returns the name by which steps refer to it."""
    if name in above:
        raise WorkflowError(f"{name!r} was made from itself: two layers have had one name")
    record = records.get(name)
    if record is None or record.get("action") not in _REPEATED:
        return IMAGE
    if any(step.name == name for step in chain):
        return name
    sources = [
        _follow(source, records, chain, (*above, name)) for source in _sources(record, records)
    ]
    chain.append(_step(name, record, sources))
    return name


_REPEATED = {"restore", "scan", "segment", "localize", MEASURE.strip()}


def _action(name: str, record: Record) -> Action:
    action = str(record["action"])
    if action == MEASURE.strip():
        action = f"{MEASURE}{record['settings'].get('measure')}"
    if action not in ACTIONS:
        raise WorkflowError(f"{name!r}: {action!r} is no step of a workflow")
    return ACTIONS[action]


def _sources(record: Record, records: Mapping[str, Record]) -> Iterable[str]:
    """What a result was made from, the image of a measurement last."""
    yield str(record["source"])
    image = record["settings"].get("image")
    if record["action"] == MEASURE.strip() and image is not None:
        yield str(image)


def _step(name: str, record: Record, sources: list[str]) -> Step:
    action, settings = _action(name, record), record["settings"]
    known = fields_of(action.settings)
    kept = {
        key: value
        for key, value in settings.items()
        if key in known and key not in _FOLLOWS_IMAGE and value is not None
    }
    region = record.get("region")
    if region is None and settings.get("region"):
        raise WorkflowError(
            f"{name!r} was limited to the labels {settings['region']!r}, which a workflow does not "
            "hold: draw the region as shapes"
        )
    if kept.get("use") == "selected":
        raise WorkflowError(f"{name!r} was measured of selected columns, which differ by image")
    if record.get("edited"):
        raise WorkflowError(f"the columns of {record['source']!r} were corrected by hand")
    return Step(
        name=name,
        action=action.name,
        of=sources[-1] if action.takes == "image" else sources[0],
        on=sources[-1] if len(sources) > 1 else IMAGE,
        settings=kept,
        region=region,
        model=str(record.get("model", "")),
        sha256=str(record.get("sha256", "")),
    )
