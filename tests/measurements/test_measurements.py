"""Laws of every measurement: one class of settings gives its function, its command and its page."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from napari_atomseg import measurements
from napari_atomseg.cli import app
from napari_atomseg.io import write_columns, write_image
from napari_atomseg.measurements import MEASUREMENTS, Report, measure
from napari_atomseg.measurements.registry import CommonSettings, Needs
from napari_atomseg.measurements.report import ImageMarks
from napari_atomseg.settings import fields_of

SAMPLING, CELL = 0.1, 40.0
OPTIONS: dict[str, dict[str, Any]] = {
    "bounds": {"deviation": 1.0},
    "compare_counts": {"first": 1},
    "counts": {"first": 1},
    "normalize": {"beam": 100.0, "vacuum": 0.0},
    "octahedra": {"oxygen": ""},
    "scores": {"truth": ""},
    "zone": {"crystal": ["BaTiO3"]},
}
"""Settings without which a measurement cannot run."""
ONE_KIND = ("counts", "compare_counts")
"""Measurements that refuse columns of two kinds."""
LONGEST = 130
"""Characters of a headline: two lines of a panel."""
FILES = {"table", "image", "output", "dataset", "frame", "model"}
"""Parameters of commands that are no settings."""

every = pytest.mark.parametrize("name", list(MEASUREMENTS))


def crystal() -> pd.DataFrame:
    """A cell of 4 Å with a weaker column in its middle, 8 pm off."""
    steps = np.mgrid[:9, :9].reshape(2, -1).T * CELL + 10.0
    rng = np.random.default_rng(0)
    parts = []
    for offset, volume in ((0.0, 300.0), (20.8, 100.0)):
        part = pd.DataFrame(steps + offset + rng.normal(0, 0.1, steps.shape), columns=["y", "x"])
        part = part.assign(y_err=0.1, x_err=0.1, volume=volume * rng.normal(1, 0.02, len(part)))
        parts.append(part.assign(sigma=4.0, amplitude=volume / 100.0, background=1.0))
    table = pd.concat(parts, ignore_index=True)
    table.attrs = {"sampling": SAMPLING}
    return table


def columns_for(name: str) -> pd.DataFrame:
    table = crystal()
    if name in ONE_KIND:
        weaker = table["volume"] < 200
        table.loc[weaker, "volume"] *= 2.25
    if MEASUREMENTS[name].stack:
        table = pd.concat([table.assign(frame=frame) for frame in range(3)])
    return table.reset_index(drop=True)


@pytest.fixture(scope="module", autouse=True)
def truth(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file of true columns."""
    path = tmp_path_factory.mktemp("truth") / "truth.csv"
    write_columns(path, crystal().iloc[1:])
    OPTIONS["scores"]["truth"] = str(path)
    oxygen = tmp_path_factory.mktemp("oxygen") / "oxygen.csv"
    steps = np.mgrid[:9, :9].reshape(2, -1).T * CELL + 30.8
    sides = [steps + np.array(side) for side in ((0.0, CELL / 2), (CELL / 2, 0.0))]
    write_columns(oxygen, pd.DataFrame(np.concatenate(sides), columns=["y", "x"]))
    OPTIONS["octahedra"]["oxygen"] = str(oxygen)


@pytest.fixture(scope="module")
def image() -> Any:
    """(H, W) Gaussians at the columns."""
    y, x = np.indices((384, 384))
    picture = np.zeros(y.shape)
    for row in crystal().itertuples():
        picture += row.amplitude * np.exp(-((y - row.y) ** 2 + (x - row.x) ** 2) / 32.0)
    return picture.astype(np.float32)


def measured(name: str, image: Any, **settings: Any) -> Report:
    known = MEASUREMENTS[name]
    columns = None if known.columns is Needs.OPTIONAL else columns_for(name)
    picture = image if known.image is Needs.REQUIRED else None
    options = OPTIONS.get(name, {}) | settings
    return measure(name, columns, picture, sampling=SAMPLING, **options)


@every
def test_function_has_the_settings_as_keywords(name: str) -> None:
    known = MEASUREMENTS[name]
    function = getattr(measurements, name)
    parameters = inspect.signature(function).parameters
    own = list(inspect.signature(measure).parameters)
    keywords = [parameter for parameter in parameters if parameter not in own]
    assert keywords == list(fields_of(known.settings))
    for setting, about in fields_of(known.settings).items():
        assert parameters[setting].default == about.default
        assert about.help.removesuffix(".") in " ".join(function.__doc__.split())
    assert function.__doc__.startswith(known.summary)


@every
def test_command_has_the_settings_as_options(name: str) -> None:
    context = typer.Context(typer.main.get_command(app))
    group = typer.main.get_command(app).get_command(context, "measure")  # type: ignore[attr-defined]
    command = group.get_command(context, name)
    options = {parameter.name: parameter for parameter in command.params}
    known = fields_of(MEASUREMENTS[name].settings)
    assert set(options) - FILES - {"help"} == {*known, *fields_of(CommonSettings)}
    for setting in known:
        assert options[setting].opts[0] == f"--{setting.replace('_', '-')}"


@pytest.mark.slow
def test_pages_have_the_settings_as_inputs(
    qtbot: Any, make_napari_viewer_proxy: Callable[[], Any]
) -> None:
    from napari_atomseg._napari.measure.panel import Measure

    panel = Measure(make_napari_viewer_proxy())
    qtbot.addWidget(panel)
    assert list(panel.form.inputs) == ["measure", *fields_of(CommonSettings)]
    for name, measurement in MEASUREMENTS.items():
        panel.measure = name
        known, form = fields_of(measurement.settings), panel.page.form
        assert set(form.inputs) == set(known)
        assert form.values() == measurement.settings()
        tips = {n: " ".join(each.native.toolTip().split()) for n, each in form.inputs.items()}
        assert tips == {setting: about.help for setting, about in known.items()}


@pytest.mark.slow
@every
def test_command_prints_the_summary_and_writes_the_result(
    name: str, image: Any, tmp_path: Path
) -> None:
    known, report = MEASUREMENTS[name], measured(name, image)
    write_columns(tmp_path / "columns.csv", columns_for(name))
    write_image(tmp_path / "image.tif", image, SAMPLING)
    arguments = [tmp_path / "image.tif"] if known.image is Needs.REQUIRED else []
    arguments += [tmp_path / "columns.csv"] if known.columns is Needs.REQUIRED else []
    for setting, value in OPTIONS.get(name, {}).items():
        for each in value if isinstance(value, list) else [value]:
            arguments += [f"--{setting}", each]
    arguments += ["--output", tmp_path / "result.csv", "--sampling", SAMPLING]
    done = CliRunner().invoke(app, ["measure", name, *map(str, arguments)])
    assert done.exit_code == 0, done.output
    printed = done.stdout.splitlines()
    assert printed[:-1] == str(report).splitlines()
    written = sorted(path.name for path in (tmp_path).iterdir() if path.name.startswith("result"))
    if known.columns is Needs.REQUIRED or report.result:
        assert report.table is not None
        assert len(pd.read_csv(tmp_path / "result.csv", comment="#")) == len(report.table)
        assert len(written) == 1 + len(report.tables) - (report.result != "")
    else:
        images = [mark for mark in report.marks if isinstance(mark, ImageMarks)]
        assert len(list((tmp_path / "result.csv").iterdir())) == len(images) > 0


@pytest.mark.slow
@every
def test_report_fits_the_columns_that_were_measured(name: str, image: Any) -> None:
    report = measured(name, image)
    assert 0 < len(report.headline) <= LONGEST
    assert "\n" not in report.headline
    assert "nan" not in report.headline
    if report.columns is not None:
        assert len(report.columns) == len(columns_for(name))
        assert set(report.features) <= set(report.columns)
        assert report.colour_by is None or report.colour_by in report.columns
    assert report.table is not None or report.marks
    for mark in report.marks:
        table = getattr(mark, "table", None)
        places = next(value for value in vars(mark).values() if not isinstance(value, str))
        assert table is None or len(table) == len(places)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, known in MEASUREMENTS.items() if known.columns is Needs.REQUIRED]
)
def test_group_of_columns_is_measured_alone(name: str, image: Any) -> None:
    known = MEASUREMENTS[name]
    table = columns_for(name).assign(species="A")
    table.loc[table["volume"] < 200, "species"] = "B"
    picture = image if known.image is Needs.REQUIRED else None
    options = OPTIONS.get(name, {}) | {"sampling": SAMPLING}
    part = table[table["species"] == "A"].reset_index(drop=True)
    alone = measure(name, part, picture, **options)
    chosen = measure(name, table, picture, use="species=A", **options)
    assert chosen.lines == alone.lines
    with pytest.raises(ValueError, match="no such columns"):
        measure(name, table, picture, use="species=C", **options)
    with pytest.raises(ValueError, match="no 'grain'"):
        measure(name, table, picture, use="grain=1", **options)


def test_unknown_measurements_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of lattice"):
        measure("colour", crystal())
    with pytest.raises(TypeError, match="no setting; there are"):
        measure("grains", crystal(), folds=4)
    with pytest.raises(ValueError, match="tolerance=90"):
        measure("grains", crystal(), tolerance=90.0)
    with pytest.raises(ValueError, match="needs columns"):
        measure("grains")


def test_sites_go_from_one_measurement_to_the_next() -> None:
    """The lattice that was found, and the sublattices as they were edited, are used again."""
    found = measure("lattice", crystal())
    sites = found.columns
    assert sites is not None
    edited = sites.copy()
    edited.loc[edited.index[edited["sublattice"] == 1][:5], "sublattice"] = -1
    every_one = measure("displacements", sites, sublattice=1).table
    fewer = measure("displacements", edited, sublattice=1).table
    assert every_one is not None
    assert fewer is not None
    assert len(fewer) == len(every_one) - 5


def test_reference_is_a_rectangle_or_a_group_of_columns() -> None:
    """Below the middle the crystal is 2 % wider; the reference is above, in both ways."""
    table = crystal()
    table = table[table["volume"] > 200].reset_index(drop=True)
    below = (table["y"] > 190).to_numpy()
    table.loc[below, "x"] *= 1.02
    table["half"] = np.where(below, "below", "above")
    inner = np.abs(table["y"] - 190) > 60
    for reference in (
        {"reference": (0.0, 0.0, 185.0, 400.0)},
        {"reference_columns": "half=above"},
    ):
        strain = measure("strain", table, **reference).columns
        assert strain is not None
        assert strain["eps_xx"][inner & below].median() == pytest.approx(0.02, abs=0.002)
        assert strain["eps_xx"][inner & ~below].median() == pytest.approx(0.0, abs=0.002)


@pytest.mark.slow
def test_model_takes_its_elements_from_the_species() -> None:
    table = crystal().assign(species="Ti")
    table.loc[table["volume"] > 200, "species"] = "Ba"
    for name in ("Ba", "Ti"):
        options = {"use": f"species={name}", "first": 3, "spacing": 4.0}
        atoms = measure("counts", table, **options).atoms
        assert atoms is not None
        assert set(atoms.get_chemical_symbols()) == {name}
    with pytest.raises(ValueError, match="needs an element"):
        measure("counts", table[table["volume"] > 200].assign(species="A"), first=3, spacing=4.0)


@pytest.mark.slow
def test_direction_of_strain_is_a_name_or_an_angle() -> None:
    table = crystal()
    along = measure("strain", table, x_axis=90).columns
    image = measure("strain", table).columns
    assert along is not None
    assert image is not None
    np.testing.assert_allclose(along["eps_xx"], image["eps_yy"], atol=1e-12)
    with pytest.raises(ValueError, match="x_axis"):
        measure("strain", table, x_axis="c")


def test_scores_count_what_is_missed_and_false(tmp_path: Path) -> None:
    """Of 162 true columns two are missed, and one false is 15 px from all others."""
    truth = crystal()
    columns = truth[["y", "x"]].iloc[2:].reset_index(drop=True) + np.array([0.3, -0.4])
    columns.loc[len(columns)] = (30.0 - 15.0, 10.0)
    write_columns(tmp_path / "truth.csv", truth)
    report = measure("scores", columns, truth=str(tmp_path / "truth.csv"), radius=3.0)
    assert report.lines[0] == "160 columns of 162 found, 1 false, within 3 px"
    assert report.columns is not None
    assert report.columns["distance"].isna().sum() == 1
    np.testing.assert_allclose(report.columns["distance"].median(), 0.5)
    (missed,) = report.marks
    np.testing.assert_allclose(missed.places, truth[["y", "x"]].iloc[:2])
    with pytest.raises(ValueError, match="choose the table"):
        measure("scores", columns)


def _honeycomb(count: int, bond: float = 14.2) -> pd.DataFrame:
    """A sheet of graphene of 0.1 Å a pixel, on 2 `count`² sites."""
    steps = bond * np.array([[0.0, np.sqrt(3)], [1.5, np.sqrt(3) / 2]])
    cells = np.stack(np.meshgrid(*[np.arange(count)] * 2), axis=-1).reshape(-1, 2)
    cells = np.stack([cells[:, 0] - cells[:, 1] // 2, cells[:, 1]], axis=1)
    places = np.concatenate([cells @ steps, cells @ steps + (bond, 0.0)])
    return pd.DataFrame(places + 20.0, columns=["y", "x"])


def test_rings_of_thousands_of_columns_are_told_in_a_few_lines() -> None:
    sheet = _honeycomb(46)
    inner = sheet[sheet["y"].between(80, 900) & sheet["x"].between(80, 1000)]
    gone = inner.sample(27, random_state=3)
    report = measure("rings", sheet.drop(gone.index), sampling=0.1)
    lines = report.lines
    assert len(lines) < 14
    # Graphene has two atoms in 5.24 Å²: 38.2 /nm²; its rings end within the outermost atoms.
    share = 27 / len(sheet)
    told, density, enclosed = next(line for line in lines if "vacancies" in line).split(", ")
    assert enclosed == "enclosed by rings"
    assert told == f"27 vacancies ({100 * share:.2g} %)"
    assert float(density.removesuffix(" /nm²")) == pytest.approx(38.2 * share, rel=0.1)
    assert not any("px" in line for line in lines)
    defects = report.tables["Defects"]
    assert defects["missing"].sum() == 27
    assert {"y_angstrom", "x_angstrom"} <= set(defects)


def test_rings_say_how_many_of_their_vacancies_they_do_not_count() -> None:
    sheet = _honeycomb(20)
    middle, corner = sheet.mean(), sheet.min()
    inner = np.hypot(sheet["y"] - middle["y"], sheet["x"] - middle["x"]).idxmin()
    # Bonds are 14.2 px long: the rings around an atom so near the border have atoms of the border.
    outer = np.hypot(sheet["y"] - middle["y"], sheet["x"] - corner["x"] - 25.0).idxmin()
    lines = measure("rings", sheet.drop([inner, outer]), sampling=0.1).lines
    assert any(line.startswith("1 vacancy (") for line in lines)
    assert "2 defects: 2 × vacancy" in lines
    told = next(line for line in lines if "not counted" in line)
    assert told.startswith("   1 of them, 1 × vacancy or divacancy among them, at the border")


def test_a_bond_that_is_missing_is_no_missing_atom() -> None:
    sheet = _honeycomb(12)
    middle = np.hypot(sheet["y"] - 140, sheet["x"] - 160).idxmin()
    moved = sheet.copy()
    moved.loc[middle, "y"] += 5.0
    report = measure("rings", moved, sampling=0.1, longest_bond=1.6)
    assert "1 defect: 1 × missing bond" in report.lines
    assert not any("vacanc" in line or "atoms missing" in line for line in report.lines)


@pytest.mark.slow
def test_vacancies_have_their_share_their_density_and_places_in_angstrom() -> None:
    grid = np.mgrid[:40, :40].reshape(2, -1).T * 20.0
    columns = pd.DataFrame(grid, columns=["y", "x"]).assign(y_err=0.1, x_err=0.1)
    inner = columns[columns["y"].between(60, 700) & columns["x"].between(60, 700)]
    gone = inner.sample(12, random_state=1)
    report = measure("defects", columns.drop(gone.index), sampling=0.1, find="vacancies")
    assert report.lines == (
        "12 vacancies (0.75 %), 0.19 /nm², by empty sites of the lattice",
        "   2 of them beside another vacancy, a hole or the border; Rings counts only those that "
        "whole rings enclose, none whose rings reach the border",
        "   the table Vacancies has their places",
    )
    few = measure("defects", columns.drop(gone.index[:1]), sampling=0.1, find="vacancies")
    y, x = gone.iloc[0][["y", "x"]] / 10
    assert few.lines[1] == f"   at y {y:.1f}, x {x:.1f} Å"
    assert {"y_angstrom", "x_angstrom"} <= set(few.tables["Vacancies"])


@pytest.mark.slow
def test_places_that_no_fit_has_found_are_no_displacements() -> None:
    table = crystal()
    lost = table.index[100:110]
    table.loc[lost, ["y_err", "x_err"]] = np.nan
    table.loc[lost, "x"] += 3.0
    report = measure("displacements", table, sublattice=1)
    whole = measure("displacements", crystal(), sublattice=1)
    assert report.table is not None
    assert whole.table is not None
    assert report.table["length_pm"].max() < 25.0
    left_out = len(whole.table) - len(report.table)
    assert left_out > 0
    assert f"{left_out} columns left out" in "\n".join(report.lines)


@pytest.mark.slow
@every
def test_what_was_measured_can_be_measured_again(name: str, image: Any) -> None:
    """What an earlier run put into the table is replaced, not added a second time."""
    known, first = MEASUREMENTS[name], measured(name, image)
    if first.columns is None:
        return
    assert first.columns.columns.is_unique
    picture = image if known.image is Needs.REQUIRED else None
    again = measure(name, first.columns, picture, sampling=SAMPLING, **OPTIONS.get(name, {}))
    assert again.columns is not None
    assert again.columns.columns.is_unique
    assert set(again.columns) == set(first.columns)
