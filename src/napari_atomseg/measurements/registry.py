"""The register of measurements: each is one function, of which everything else is made.

A module of this package holds one measurement: a class of settings, and a function that takes an
`Observation` and these settings and returns a `Report`. Decorated by `measurement`, it is

- a Python function with the settings as keywords, and their help in its docstring;
- a page of the Measure panel;
- a command, ``napari-atomseg measure NAME``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any, TypeVar, get_type_hints

from napari_atomseg._shared.sampling import Sampling, read_sampling
from napari_atomseg.measurements.observation import ALL, Observation, lattice_record
from napari_atomseg.measurements.report import Report
from napari_atomseg.progress import CancelToken, Progress, cancellable
from napari_atomseg.settings import Settings, describe, fields_of, setting

Run = Callable[[Observation, Any, Progress | None, CancelToken | None], Report]
AnySettings = TypeVar("AnySettings", bound="MeasurementSettings")


class Role(Enum):
    """What a text means, for a panel to offer what there is: ``Annotated[str, Role.CRYSTAL]``."""

    GROUP = "columns, such as all, selected or species=Ti"
    FEATURE = "a feature of columns with numbers"
    CROSS_SECTION = "a feature of columns that grows with the number of atoms"
    SUBLATTICE = "number of a sublattice"
    CRYSTAL = "name of a crystal, or a structure file"
    TABLE = "a file with a table"
    IMAGE = "a file with an image"
    AXIS = "x axis of a strain"


class Needs(Enum):
    """Whether a measurement takes columns, or an image."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOTHING = "nothing"


class MeasurementSettings(Settings):
    """Settings of one measurement."""

    def without_effect(self) -> tuple[str, ...]:
        """Return the names of settings that make no difference beside the others."""
        return ()


class CommonSettings(Settings):
    """Settings of all measurements."""

    sampling: Sampling | None = setting(
        None,
        "Sampling",
        "Size of a pixel, one number or along y and x; by default that of the columns' layer or "
        "file. Where it is not known, lengths are in pixels.",
        unit="Å/px",
        none="unknown",
        read=read_sampling,
    )
    use: Annotated[str, Role.GROUP] = setting(
        ALL,
        "Use",
        "Columns that are measured: all, selected, or a feature and its value, such as species=Ti.",
    )


@dataclass(frozen=True)
class Measurement:
    """A measurement.

    Attributes
    ----------
    name : of the function and the command.
    title : in the panel.
    settings : the class of its settings.
    run : takes an observation and the settings.
    summary, notes : first line of its docstring, and the rest.
    columns, image : whether it needs them.
    stack : whether it takes the columns of all frames together.
    makes_atoms : whether it builds a model in three dimensions.
    order : place in a list.
    """

    name: str
    title: str
    settings: type[MeasurementSettings]
    run: Run
    summary: str
    notes: str
    columns: Needs
    image: Needs
    stack: bool
    makes_atoms: bool
    order: int


MEASUREMENTS: dict[str, Measurement] = {}
"""All measurements by name."""


def role_of(settings: type[Settings], name: str) -> Role | None:
    """Return what the text of a setting means, if that was annotated."""
    known = settings.model_fields[name].metadata
    return next((each for each in known if isinstance(each, Role)), None)


def measurement(
    title: str,
    *,
    columns: Needs = Needs.REQUIRED,
    image: Needs = Needs.NOTHING,
    stack: bool = False,
    makes_atoms: bool = False,
    order: int = 100,
) -> Callable[
    [Callable[[Observation, AnySettings, Progress | None, CancelToken | None], Report]],
    Callable[..., Report],
]:
    """Register a measurement, and return its Python function.

    Parameters
    ----------
    title, columns, image, stack, makes_atoms, order : see `Measurement`.
    """

    def register(
        run: Callable[[Observation, AnySettings, Progress | None, CancelToken | None], Report],
    ) -> Callable[..., Report]:
        settings = get_type_hints(run)["settings"]
        summary, _, notes = inspect.cleandoc(run.__doc__ or "").partition("\n\n")
        known = Measurement(
            run.__name__,
            title,
            settings,
            run,
            summary,
            notes,
            columns,
            image,
            stack,
            makes_atoms,
            order,
        )
        MEASUREMENTS[known.name] = known
        return _function(known)

    return register


def measure(
    name: str,
    columns: Any = None,
    image: Any = None,
    *,
    sampling: Any = None,
    use: str = ALL,
    lattice: Any = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Report:
    """Measure columns, or an image.

    Parameters
    ----------
    name : of the measurement, a key of `MEASUREMENTS`.
    columns : table with `y` and `x` (px), or (N, 2) array of (y, x).
    image : (H, W), whose pixels the columns lie on.
    sampling : Å per pixel, one number or (dy, dx); by default what ``columns.attrs`` has.
    use : the columns that are measured, see `Observation.of`.
    lattice : found before; by default what ``columns.attrs`` has.
    settings : of the measurement; ``help(napari_atomseg.measurements.strain)`` lists those of
        the measurement "strain".

    Raises
    ------
    ValueError
        There is no such measurement, a setting is wrong, or the columns cannot be measured.
    TypeError
        There is no such setting, or it has a value of another kind.
    Cancelled
        `cancel` was set.
    """
    if name not in MEASUREMENTS:
        raise ValueError(f"name={name!r}; choose one of {', '.join(MEASUREMENTS)}")
    known = MEASUREMENTS[name]
    chosen = known.settings(**settings)
    for what, needed, given in (
        ("columns", known.columns, columns),
        ("image", known.image, image),
    ):
        if needed is Needs.REQUIRED and given is None:
            raise ValueError(f"{name} needs {what}")
    observation = Observation.of(columns, image, sampling=sampling, use=use, lattice=lattice)
    with cancellable(cancel):
        found = known.run(observation, chosen, progress, cancel)
    return finished(found, observation)


def finished(report: Report, observation: Observation) -> Report:
    """Return a report whose tables know their sampling, and the columns their lattice.

    What the lattices do not explain that the measurement stands on comes first in its lines, and
    into the headline where that is not to be taken as it is.
    """
    report = _cautious(report, observation)
    for table in (report.columns, *report.tables.values()):
        if table is not None:
            table.attrs = {} if observation.sampling is None else {"sampling": observation.sampling}
    if report.columns is not None:
        lattice = observation.lattice if report.lattice is None else report.lattice
        known = {} if lattice is None else {"lattice": lattice_record(lattice)}
        report.columns.attrs |= known | dict(report.record)
    return report


def _cautious(report: Report, observation: Observation) -> Report:
    """The report with the cautions of its lattices."""
    warnings = dict.fromkeys(each for quality in observation.judged for each in quality.warnings)
    doubts = dict.fromkeys(quality.doubt for quality in observation.judged if quality.doubt)
    observation.judged.clear()
    lines = (*(f"Caution: {each}." for each in warnings), *report.lines)
    headline = report.headline
    if doubts and headline:
        headline = f"Doubtful, as {'; '.join(doubts)}: {headline}"
    return replace(report, lines=lines, headline=headline)


def _function(known: Measurement) -> Callable[..., Report]:
    def function(columns: Any = None, image: Any = None, **options: Any) -> Report:
        return measure(known.name, columns, image, **options)

    function.__name__ = function.__qualname__ = known.name
    function.__module__ = known.run.__module__
    function.__doc__ = _document(known)
    function.__signature__ = _signature(known)  # type: ignore[attr-defined]
    return function


def _signature(known: Measurement) -> inspect.Signature:
    own = inspect.signature(measure).parameters
    data = [own[name] for name in ("columns", "image")]
    if known.columns is Needs.REQUIRED:
        data[0] = data[0].replace(default=inspect.Parameter.empty)
    settings = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=about.default,
            annotation=known.settings.model_fields[name].annotation,
        )
        for name, about in fields_of(known.settings).items()
    ]
    rest = [own[name] for name in ("sampling", "use", "lattice", "progress", "cancel")]
    return inspect.Signature([*data, *settings, *rest], return_annotation=Report)


def _document(known: Measurement) -> str:
    notes = f"\n\n{known.notes}" if known.notes else ""
    return f"""{known.summary}{notes}

Parameters
----------
columns : table with `y` and `x` (px), or (N, 2) array of (y, x).
image : (H, W), whose pixels the columns lie on.
{describe(known.settings)}
sampling, use, lattice, progress, cancel : see `measure`.

Raises
------
ValueError
    A setting is wrong, or the columns cannot be measured.
TypeError
    There is no such setting, or it has a value of another kind.
Cancelled
    `cancel` was set.
"""
