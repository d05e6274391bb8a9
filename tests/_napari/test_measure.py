"""The Measure panel in a real viewer: what is known of a small crystal is what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase.io import read
from napari.layers import Image, Points, Shapes, Tracks, Vectors

from napari_atomseg._napari.keys import key_of
from napari_atomseg._napari.layers import image_layer, points_layer, sampled
from napari_atomseg.progress import Cancelled

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0
SAMPLING, CELL = 0.15, 26.0

pytestmark = pytest.mark.usefixtures("qtbot")


def grid(rows: int, cols: int, spacing: float = CELL, margin: float = 15.0) -> Any:
    """(N, 2) places of a square lattice, px."""
    cells = np.stack(np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij"), axis=-1)
    return margin + spacing * cells.reshape(-1, 2).astype(float)


def table(places: Any, volume: Any = 50.0, noise: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Columns that stray by `noise` px."""
    rng = np.random.default_rng(seed)
    places = np.asarray(places) + rng.normal(0.0, noise, np.shape(places))
    return pd.DataFrame(
        {
            "y": places[:, 0],
            "x": places[:, 1],
            "y_err": noise,
            "x_err": noise,
            "volume": volume * rng.normal(1.0, 0.01, len(places)),
        }
    )


def perovskite(size: int = 9, shift: Any = (0.0, 0.0), **options: Any) -> pd.DataFrame:
    """Bright columns at the corners of cells and weaker ones in their middle, shifted (px)."""
    corners, middles = grid(size, size), grid(size - 1, size - 1) + 0.5 * CELL + shift
    volume = np.repeat([50.0, 25.0], [len(corners), len(middles)])
    return table(np.concatenate([corners, middles]), volume, **options)


def picture(columns: pd.DataFrame, shape: tuple[int, int], sigma: float = 4.0) -> Any:
    """Gaussians at the columns, with a little noise."""
    y, x = np.indices(shape)
    image = np.random.default_rng(1).normal(0.0, 0.01, shape)
    for row in columns.itertuples():
        image += np.exp(-((y - row.y) ** 2 + (x - row.x) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


def add(viewer: Any, columns: pd.DataFrame, sampling: float | None = SAMPLING) -> Points:
    layer = points_layer(columns, "scene columns", sampled(sampling), {"source": "scene"})
    viewer.add_layer(layer)
    return layer


def measure(panel: Any, what: str, **settings: Any) -> Any:
    panel.measure = what
    for name, value in settings.items():
        setattr(panel, name, value)
    return panel.run().result(PATIENCE)


def of_kind(measured: Any, kind: type) -> Any:
    return next(layer for layer in measured.layers if isinstance(layer, kind))


def text(panel: Any) -> str:
    return str(panel.results.text.toPlainText())


@pytest.mark.slow
def test_lattice_has_its_vectors_cells_and_species(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, perovskite())
    measured = measure(dock("Measure"), "lattice")
    lattice = measured.report.lattice
    np.testing.assert_allclose(lattice.lengths_angstrom, CELL * SAMPLING, atol=0.005)
    assert lattice.angle_deg == pytest.approx(90.0, abs=0.1)
    cells = of_kind(measured, Shapes)
    assert len(cells.data) == 8 * 8
    assert placement(cells) == placement(layer)
    assert cells.features["a_angstrom"].mean() == pytest.approx(CELL * SAMPLING, abs=0.01)
    assert layer.features["species"].value_counts().to_dict() == {"A": 81, "B": 64}
    assert layer.features["volume"].notna().all()
    assert len(np.unique(layer.border_color, axis=0)) == 2
    np.testing.assert_allclose(of_kind(measured, Vectors).data[:, 1], lattice.vectors, atol=1e-4)


@pytest.mark.slow
def test_named_species_stay_and_sublattices_are_used_as_they_stand(
    dock: OpenPanel, viewer: Any
) -> None:
    layer = add(viewer, perovskite())
    panel = dock("Measure")
    measure(panel, "lattice")
    assert panel.results.isTabVisible(2)
    panel.results.species.item(1, 0).setText("TiO")
    assert set(layer.features["species"]) == {"A", "TiO"}
    assert "TiO" in key_of(layer).kinds
    assert "species=TiO" in [panel.form.inputs["use"].itemData(i) for i in range(4)]
    features = layer.features.copy()
    wrong = features.index[features["sublattice"] == 1][:3]
    features.loc[wrong, "sublattice"] = -1
    layer.features = features
    measured = measure(panel, "displacements", sublattice=1)
    assert len(of_kind(measured, Vectors).data) == 64 - 3
    assert set(layer.features["species"]) == {"A", "TiO"}
    panel.use = "species=TiO"
    assert measure(panel, "lattice").report.columns.shape[0] == 64


@pytest.mark.slow
def test_spacings_tell_the_precision(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, table(grid(14, 14), noise=0.2))
    panel = dock("Measure")
    measured = measure(panel, "spacings", target=2.0)
    shown = panel.results.tables["Precision"].set_index("axis")
    true = np.sqrt(2) * 0.2 * SAMPLING * 100
    for axis in "ab":
        error = shown.loc[axis, "deviation_err_pm"]
        assert abs(shown.loc[axis, "deviation_pm"] - true) < 4 * error
        assert layer.features[f"spacing_{axis}_angstrom"].count() == 13 * 14
    assert f"{int(shown['frames'].max())} frames" in text(panel)
    assert len(of_kind(measured, Vectors).data) == 2 * 13 * 14
    assert panel.results.isTabVisible(1)


@pytest.mark.slow
def test_displacements_and_polarization_are_those_put_in(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, perovskite(shift=(1.0, -0.5)))
    panel = dock("Measure")
    measured = measure(panel, "displacements", charge=7.0, volume=60.0)
    arrows = of_kind(measured, Vectors)
    np.testing.assert_allclose(arrows.data[:, 1].mean(axis=0), (1.0, -0.5), atol=0.03)
    middles = layer.features["shift_pm"].notna()
    assert middles.sum() == 64
    np.testing.assert_allclose(layer.features["shift_y_pm"][middles].mean(), 15.0, atol=0.5)
    # P = Z e u / V, with 1602.18 µC/cm² of an electron's charge times 1 Å in each Å³.
    expected = 1602.18 * 7.0 * 0.15 / 60.0
    np.testing.assert_allclose(
        layer.features["polarization_y"][middles].mean(), expected, rtol=0.05
    )
    assert "µC/cm²" in text(panel)
    assert f"{arrows.length:g} times longer" in text(panel)


def strained(viewer: Any) -> tuple[Points, Any]:
    """Stretched along x by 2 % below the middle; where it is not is selected."""
    places = grid(16, 12, 20.0)
    below = places[:, 0] > 160
    places[below, 1] = 125 + 1.02 * (places[below, 1] - 125)
    columns = table(places, noise=0.02)
    viewer.add_layer(image_layer(picture(columns, (330, 250)), "scene", sampled(SAMPLING), {}))
    layer = add(viewer, columns)
    layer.selected_data = set(np.flatnonzero(places[:, 0] < 140).tolist())
    return layer, below


@pytest.mark.slow
@pytest.mark.parametrize("source", ["strain", "gpa"])
def test_strain_is_a_signed_image_and_a_feature(source: str, dock: OpenPanel, viewer: Any) -> None:
    layer, below = strained(viewer)
    panel = dock("Measure")
    assert panel.image.name == "scene"
    measured = measure(panel, source, reference_columns="selected")
    shown = [each for each in measured.layers if each.visible]
    assert [each.name.split()[-2] for each in shown] == ["eps_xx"]
    (eps,) = shown
    low, high = eps.contrast_limits
    assert low == -high
    assert placement(eps) == placement(layer)
    assert viewer.layers.index(eps) < viewer.layers.index(layer)
    assert np.nanmedian(eps.data[200:290, 80:170]) == pytest.approx(2.0, abs=0.2)
    assert np.nanmedian(eps.data[50:110, 80:170]) == pytest.approx(0.0, abs=0.2)
    name = "eps_xx" if source == "strain" else "gpa_eps_xx"
    assert layer.features[name][below].median() == pytest.approx(0.02, abs=0.003)
    panel.component = "rotation_deg"
    assert [each.name.split()[-2] for each in measured.layers if each.visible] == ["rotation"]


@pytest.mark.slow
def test_dislocation_has_its_core_and_burgers_vector(dock: OpenPanel, viewer: Any) -> None:
    spacing = 15.0
    places = grid(22, 22, spacing, -10.5 * spacing)
    y, x = -places[:, 0], places[:, 1]
    # Hirth and Lothe, isotropic edge dislocation with b along x and Poisson's ratio 0.3.
    across = np.arctan2(y, x) + x * y / (1.4 * (x**2 + y**2))
    along = 0.4 / 2.8 * np.log(x**2 + y**2) + (x**2 - y**2) / (2.8 * (x**2 + y**2))
    moved = places + spacing / (2 * np.pi) * np.stack([along, across], axis=1) + 180.0
    add(viewer, table(moved))
    panel = dock("Measure")
    measured = measure(panel, "defects")
    (core,) = of_kind(measured, Points).data
    assert np.hypot(*(core - 180.0)) < 1.5 * spacing
    (burgers,) = of_kind(measured, Vectors).data[:, 1]
    assert np.abs(burgers[1]) == pytest.approx(spacing, rel=0.03)
    assert np.abs(burgers[0]) < 0.05 * spacing
    assert "1 dislocation" in text(panel)
    with pytest.raises(ValueError, match="not a valid choice"):
        panel.columns = of_kind(measured, Points)


def test_grains_and_their_boundary(dock: OpenPanel, viewer: Any) -> None:
    square = grid(41, 41, 14.0, -20 * 14.0)

    def turned(degrees: float) -> Any:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        places = square @ np.array([[c, s], [-s, c]]) + 160.0
        return places[np.all((places > 5) & (places < 315), axis=1)]

    left, right = turned(5.0), turned(25.0)
    places = np.concatenate([left[left[:, 1] < 157], right[right[:, 1] > 165]])
    layer = add(viewer, table(places))
    panel = dock("Measure")
    measured = measure(panel, "grains")
    boundary = measured.report.tables["Boundaries"].iloc[0]
    assert boundary["misorientation_deg"] == pytest.approx(20.0, abs=0.5)
    assert set(layer.features["grain"]) >= {1, 2}
    (line,) = of_kind(measured, Shapes).data
    np.testing.assert_allclose(line[:, 1], 161.0, atol=12.0)
    assert np.ptp(line[:, 0]) > 200
    assert "2 grains" in text(panel)


def honeycomb() -> Any:
    bond = 12.0
    steps = np.array([[0.0, bond * np.sqrt(3)], [1.5 * bond, bond * np.sqrt(3) / 2]])
    cells = np.stack(np.meshgrid(np.arange(-16, 17), np.arange(-16, 17)), axis=-1).reshape(-1, 2)
    places = np.concatenate([cells @ steps, cells @ steps + (bond, 0.0)]) + 130.0
    return places[np.all((places > 5) & (places < 255), axis=1)]


@pytest.mark.slow
def test_rings_by_size_and_the_vacancy_among_them(dock: OpenPanel, viewer: Any) -> None:
    places = honeycomb()
    gone = np.argmin(np.hypot(*(places - 130.0).T))
    layer = add(viewer, table(np.delete(places, gone, axis=0)))
    panel = dock("Measure")
    measured = measure(panel, "rings")
    rings = of_kind(measured, Shapes)
    sizes = rings.features["size"]
    assert sizes.value_counts().to_dict() == {6: len(sizes) - 1, 12: 1}
    faces = {size: tuple(rings.face_color[(sizes == size).to_numpy()][0]) for size in (6, 12)}
    assert faces[6] != faces[12]
    np.testing.assert_allclose(of_kind(measured, Points).data, [places[gone]], atol=1.0)
    assert "vacancy, 1 atom missing" in text(panel)
    assert list(key_of(rings).kinds) == ["6", "12"]
    assert layer.features["coordination"].max() == 3
    found = of_kind(measure(panel, "defects"), Points)
    np.testing.assert_allclose(found.data, [places[gone]], atol=0.5)


def particle() -> tuple[pd.DataFrame, Any]:
    """Columns of 1 to 6 atoms, each with a cross-section of 40 px²."""
    places = grid(15, 15, 17.0)
    atoms = np.round(np.clip(7 - np.hypot(*(places - places.mean(axis=0)).T) / 20, 0, None))
    places, atoms = places[atoms > 0], atoms[atoms > 0].astype(int)
    volume = 40.0 * atoms + np.random.default_rng(2).normal(0.0, 3.0, len(atoms))
    return table(places).assign(volume=volume), atoms


@pytest.mark.slow
def test_atoms_are_counted_and_built_up(dock: OpenPanel, viewer: Any, tmp_path: Path) -> None:
    columns, atoms = particle()
    layer = add(viewer, columns)
    panel = dock("Measure")
    measured = measure(panel, "counts", element="Pt", spacing=2.77)
    assert (layer.features["count"] == atoms).mean() > 0.95
    assert layer.features["count_probability"].between(0, 1).all()
    number, criterion = measured.report.plot.values["common width"]
    assert number[np.argmin(criterion)] == len(np.unique(atoms)) == measured.report.plot.marked
    for name in ("model.cif", "model.xyz"):
        panel.save_model(tmp_path / name)
        model = read(tmp_path / name)
        assert len(model) == layer.features["count"].sum()
        assert set(model.get_chemical_symbols()) == {"Pt"}


def test_atoms_are_counted_by_a_library(dock: OpenPanel, viewer: Any, tmp_path: Path) -> None:
    columns, atoms = particle()
    layer = add(viewer, columns)
    sections = pd.DataFrame({"count": np.arange(1, 10), "section": 0.9 * np.arange(1, 10)})
    sections.to_csv(tmp_path / "library.csv", index=False)
    panel = dock("Measure")
    measure(panel, "counts", library=str(tmp_path / "library.csv"))
    assert (layer.features["count"] == atoms).all()
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    panel.library = str(tmp_path / "wrong.csv")
    with pytest.raises(OSError, match=r"wrong\.csv lacks"):
        panel.run().result(PATIENCE)


@pytest.mark.slow
def test_atoms_are_counted_by_integrals_of_the_image(dock: OpenPanel, viewer: Any) -> None:
    places = grid(9, 9, 20.0)
    atoms = 1 + np.arange(81) % 4
    y, x = np.indices((196, 196))
    image = np.random.default_rng(3).normal(0.0, 0.005, y.shape)
    for (row, col), number in zip(places, atoms, strict=True):
        # No Gaussian: a fit would not know what is light and what is background.
        image += 0.1 * number * np.exp(-np.hypot(y - row, x - col) / 3.0)
    layer = add(viewer, table(places).drop(columns="volume"))
    panel = dock("Measure")
    panel.measure, panel.value, panel.first = "counts", "integral", 1
    with pytest.raises(ValueError, match="choose the image"):
        panel.run().result(PATIENCE)
    scene = image_layer(image.astype(np.float32), "scene", sampled(SAMPLING), {})
    panel.image = viewer.add_layer(scene)
    panel.run().result(PATIENCE)
    inner = layer.features["integral"].notna().to_numpy()
    assert inner.sum() >= 49
    assert (layer.features["count"][inner] == atoms[inner]).mean() > 0.95
    assert layer.features["count"][~inner].isna().all()


def movie(viewer: Any) -> tuple[Points, Any]:
    """A square crystal that drifts; the column in its middle is gone from frame 3 on."""
    drift = np.outer(np.arange(6), (1.1, -0.4))
    frames = []
    for number, shift in enumerate(drift):
        columns = table(grid(7, 7, 24.0, 30.0) + shift, noise=0.1, seed=number)
        columns = columns.drop(index=24) if number >= 3 else columns
        frames.append(columns.assign(frame=number))
    stack = pd.concat(frames, ignore_index=True)
    place = sampled(SAMPLING, 3)
    viewer.add_layer(image_layer(np.ones((6, 210, 210), np.float32), "scene", place, {}))
    layer = points_layer(stack, "scene columns", place, {"source": "scene"}, leading=(6,))
    viewer.add_layer(layer)
    return layer, drift


@pytest.mark.slow
def test_tracks_have_no_drift_and_tell_of_vacancies(dock: OpenPanel, viewer: Any) -> None:
    layer, drift = movie(viewer)
    panel = dock("Measure")
    measured = measure(panel, "tracks", drift="removed")
    tracks = of_kind(measured, Tracks)
    assert placement(tracks)["scale"] == placement(layer)["scale"]
    one = tracks.data[tracks.data[:, 0] == 0]
    np.testing.assert_array_equal(one[:, 1], np.arange(6))
    assert np.ptp(one[:, 2:], axis=0).max() < 0.8
    tables = panel.results.tables
    np.testing.assert_allclose(tables["Drift"][["dy", "dx"]], drift, atol=0.1)
    (vacancy,) = tables["Vacancies"].itertuples()
    assert (vacancy.first, vacancy.last, vacancy.kind) == (3, 5, "after")
    assert layer.features["track"].nunique() == 49
    symbols = of_kind(measured, Points)
    np.testing.assert_array_equal(symbols.data[:, 0], [3, 4, 5])
    np.testing.assert_allclose(symbols.data[:, 1:], 102.0 + drift[3:], atol=0.5)
    kept = of_kind(measure(panel, "tracks", drift="kept"), Tracks).data
    assert np.ptp(kept[kept[:, 0] == 0][:, 2]) == pytest.approx(5.5, abs=0.5)


@pytest.mark.slow
def test_tracks_follow_a_column_that_hops(dock: OpenPanel, viewer: Any) -> None:
    """Into an empty site beside, from frame 3 to 4, while the crystal drifts."""
    drift = np.outer(np.arange(7), (1.1, -0.4))
    old, new = 30, 31
    places = grid(7, 7, 24.0, 30.0)
    frames = []
    for number, shift in enumerate(drift):
        there = table(places + shift, noise=0.1, seed=number)
        gone = new if number < 4 else old
        frames.append(there.drop(index=gone).assign(frame=number, was=there.index.delete(gone)))
    place = sampled(SAMPLING, 3)
    stack = pd.concat(frames, ignore_index=True)
    viewer.add_image(np.ones((7, 210, 210), np.float32), name="scene", **place)
    layer = points_layer(stack, "scene columns", place, {"source": "scene"}, leading=(7,))
    viewer.add_layer(layer)
    panel = dock("Measure")
    measured = measure(panel, "tracks")
    (hop,) = panel.results.tables["Hops"].itertuples()
    assert (hop.frame, hop.arrival) == (3, 4)
    assert hop.distance_angstrom == pytest.approx(24.0 * SAMPLING, abs=0.03)
    # Its arrow starts and ends on the columns as the frame of the arrival shows them.
    arrows = of_kind(measured, Vectors)
    ((start, step),) = arrows.data
    assert start[0] == 4
    assert step[0] == 0
    np.testing.assert_allclose(start[1:], places[old] + drift[4], atol=0.5)
    np.testing.assert_allclose(start[1:] + step[1:], places[new] + drift[4], atol=0.5)
    assert placement(arrows)["scale"] == placement(layer)["scale"]
    # One track has the column before and after, and lies on it in every frame.
    features = layer.features
    moved = features[features["track"] == hop.track]
    assert moved["was"].tolist() == [old] * 4 + [new] * 3
    drawn = of_kind(measured, Tracks).data
    mine = drawn[drawn[:, 0] == hop.track]
    np.testing.assert_allclose(mine[:, 2:], layer.data[moved.index][:, 1:], atol=1e-4)
    # The site that it left is empty after, the one that it came to was before.
    empty = panel.results.tables["Vacancies"].set_index("kind")
    assert empty.loc["after", ["first", "last"]].tolist() == [4, 6]
    assert empty.loc["before", ["first", "last"]].tolist() == [0, 3]
    said = text(panel)
    assert re.search(r"1 hop\n   frame 3 to 4: 3\.[56]\d* Å from y", said)
    assert "2 vacancies\n   frame" in said
    headers = panel.results.table
    panel.results.which.value = "Hops"
    names = [headers.horizontalHeaderItem(k).text() for k in range(headers.columnCount())]
    assert "distance (Å)" in names
    none = measure(panel, "tracks", hop=10.0)
    assert not any(isinstance(layer, Vectors) for layer in none.layers)
    assert "0 hops" in text(panel)


@pytest.mark.slow
def test_of_a_stack_the_frame_in_sight_is_measured(dock: OpenPanel, viewer: Any) -> None:
    layer, _ = movie(viewer)
    viewer.dims.set_point(0, 4)
    measured = measure(dock("Measure"), "lattice")
    frame = layer.data[:, 0]
    assert (layer.features["sublattice"].notna() == (frame == 4)).all()
    cells = of_kind(measured, Shapes)
    assert {cell[0, 0] for cell in cells.data} == {4.0}
    (eps,) = [each for each in measure(dock("Measure"), "strain").layers if each.visible]
    np.testing.assert_allclose(eps.data_to_world((0, 0, 0)), layer.data_to_world((4, 0, 0)))


@pytest.mark.slow
def test_without_a_sampling_lengths_are_pixels_and_it_says_so(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, perovskite(shift=(1.0, 0.0)), sampling=None)
    panel = dock("Measure")
    assert panel.sampling is None
    for what in ("lattice", "spacings", "displacements"):
        measure(panel, what)
        assert "lengths are in pixels" in text(panel)
        assert " px" in text(panel)
        assert "Å" not in text(panel)
    assert layer.features["spacing_a"].median() == pytest.approx(CELL, abs=0.1)
    assert layer.features["shift_y"].median() == pytest.approx(1.0, abs=0.1)
    panel.sampling = SAMPLING
    assert measure(panel, "lattice").report.lattice.lengths_angstrom[0] == pytest.approx(
        CELL * SAMPLING, abs=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "what", "message"),
    [
        (None, "lattice", "run Localize"),
        (0, "lattice", "has no columns"),
        (1, "lattice", "at least 20 columns"),
        (3, "displacements", "at least 20 columns"),
        (60, "counts", "have no 'volume'"),
        (60, "tracks", "several frames"),
        (60, "rings", "form no rings"),
    ],
)
def test_what_cannot_work_is_told_and_nothing_is_lost(
    rows: int | None, what: str, message: str, dock: OpenPanel, viewer: Any, notices: Any
) -> None:
    if rows is not None:
        places = np.stack([np.arange(rows) * 20.0, np.arange(rows) % 3 * 0.1], axis=1)
        columns = table(places) if what != "counts" else table(grid(8, 8))
        add(viewer, columns.drop(columns="volume"))
    before = [(layer, list(layer.features)) for layer in viewer.layers]
    panel = dock("Measure")
    panel.measure = what
    job = panel.run()
    assert job.wait(PATIENCE)
    with pytest.raises(ValueError, match=message):
        job.result()
    (notice,) = notices
    assert notice.severity.value == "error"
    assert "\n" not in notice.message
    assert [(layer, list(layer.features)) for layer in viewer.layers] == before
    assert panel.run_button.isEnabled()
    panel.columns = add(viewer, perovskite())
    assert measure(panel, "lattice").layers


@pytest.mark.slow
def test_only_points_are_columns(dock: OpenPanel, viewer: Any) -> None:
    image = viewer.add_image(np.zeros((16, 16)), name="scene")
    panel = dock("Measure")
    assert panel.columns is None
    with pytest.raises(ValueError, match="not a points layer"):
        panel.columns = image
    with pytest.raises(ValueError, match="not a layer of this viewer"):
        panel.columns = Points(np.zeros((3, 2)))
    viewer.layers.remove(image)
    add(viewer, table(grid(8, 8)))
    panel.measure = "gpa"
    with pytest.raises(ValueError, match="needs the image"):
        panel.run().result(PATIENCE)
    panel.use = "selected"
    with pytest.raises(ValueError, match="no columns are selected"):
        panel.run().result(PATIENCE)


@pytest.mark.slow
def test_an_error_goes_when_the_page_is_turned(dock: OpenPanel, viewer: Any, notices: Any) -> None:
    add(viewer, perovskite())
    panel = dock("Measure")
    panel.measure = "octahedra"
    with pytest.raises(ValueError, match="no oxygen column"):
        panel.run().result(PATIENCE)
    assert "no oxygen column" in panel.message.text()
    panel.measure = "bonds"
    assert panel.message.text() == ""


@pytest.mark.slow
def test_the_density_of_bonds_is_drawn_beside_their_lengths(dock: OpenPanel, viewer: Any) -> None:
    add(viewer, perovskite())
    panel = dock("Measure")
    measure(panel, "bonds")
    assert set(panel.results.tables) == {"Vectors", "Bonds", "Density"}
    lengths, density = panel.results.figure.axes
    assert lengths.get_xlabel() == "length (Å)"
    left, right, bottom, top = density.get_images()[0].get_extent()
    assert left < 0 < right
    assert top < 0 < bottom
    measure(panel, "lattice")
    assert not panel.results.figure.axes


@pytest.mark.slow
def test_columns_that_go_meanwhile_are_kept_with_their_results(
    dock: OpenPanel, viewer: Any
) -> None:
    layer = add(viewer, perovskite())
    place = placement(layer)
    panel = dock("Measure")
    job = panel.run()
    viewer.layers.remove(layer)
    measured = job.result(PATIENCE)
    assert measured.columns is not layer
    assert measured.columns in viewer.layers
    assert placement(measured.columns) == place
    assert measured.columns.metadata["napari-atomseg"]["source"] == "scene"
    assert len(measured.columns.features["sublattice"]) == 145
    assert "changed meanwhile" in text(panel)
    assert panel.columns is measured.columns


@pytest.mark.slow
def test_columns_that_change_meanwhile_keep_what_they_have(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, perovskite())
    job = dock("Measure").run()
    layer.add([50.0, 50.0])
    measured = job.result(PATIENCE)
    assert "sublattice" not in layer.features
    assert len(measured.columns.data) == 145


def test_cancelling_adds_nothing(dock: OpenPanel, viewer: Any, notices: Any) -> None:
    layer = add(viewer, perovskite())
    panel = dock("Measure")
    job = panel.run()
    panel.cancel()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert list(viewer.layers) == [layer]
    assert "sublattice" not in layer.features
    assert panel.message.text() == "Cancelled"
    assert notices == []


def long_work(what: str, viewer: Any) -> tuple[Points, dict[str, Any]]:
    """Columns whose measurement takes a second or more, and its settings."""
    rng = np.random.default_rng(5)
    if what == "tracks":
        stack = pd.concat([table(grid(12, 12), seed=k).assign(frame=k) for k in range(150)])
        place = sampled(SAMPLING, 3)
        layer = points_layer(stack, "scene columns", place, {}, leading=(150,))
        viewer.add_layer(layer)
        return layer, {}
    columns = table(grid(40, 40, 20.0))
    if what == "counts":
        atoms = rng.integers(1, 16, len(columns))
        columns["volume"] = 40.0 * atoms + rng.normal(0.0, 3.0, len(atoms))
    else:
        y, x = np.mgrid[:1024, :1024] * (2 * np.pi / 20)
        image = (np.cos(y) + np.cos(x)).astype(np.float32)
        viewer.add_layer(image_layer(image, "scene", sampled(SAMPLING), {}))
    return add(viewer, columns), {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "step"),
    [("gpa", "Measuring strain"), ("counts", "Trying"), ("tracks", "Linking")],
)
def test_long_measurements_stop_in_the_middle(
    what: str, step: str, dock: OpenPanel, viewer: Any, notices: Any
) -> None:
    layer, settings = long_work(what, viewer)
    panel = dock("Measure")
    panel.measure = what
    for name, value in settings.items():
        setattr(panel, name, value)
    before = (list(viewer.layers), list(layer.features))
    job = panel.run()
    steps: list[tuple[int, int]] = []

    def stop(done: int, total: int, message: str) -> None:
        steps.append((done, total))
        if message.startswith(step):
            panel.cancel_button.click()

    job.progressed.connect(stop)
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    done, total = steps[-1]
    assert total > 0
    assert done < total, "it went on to its end"
    assert (list(viewer.layers), list(layer.features)) == before
    assert panel.message.text() == "Cancelled"
    assert panel.run_button.isEnabled()
    assert notices == []


@pytest.mark.slow
def test_each_measurement_shows_its_own_settings_and_fits_a_laptop(
    dock: OpenPanel, viewer: Any, tmp_path: Path
) -> None:
    add(viewer, perovskite())
    panel = dock("Measure")
    hint = panel.minimumSizeHint()
    assert hint.height() < 500
    assert hint.width() < 400
    panel.measure = "grains"
    assert not panel.page.form.inputs["fold"].native.isHidden()
    assert panel.page.forms["lattice"].isHidden()
    with pytest.raises(AttributeError, match="grains has no setting 'cell'"):
        panel.cell = "primitive"
    panel.measure, panel.library = "counts", str(tmp_path / "library.csv")
    inputs = panel.page.form.inputs
    assert inputs["components"].native.isHidden()
    assert not inputs["fit_scale"].native.isHidden()
    assert not inputs["library"].native.isHidden()
    assert [name for name, each in inputs.items() if not each.native.toolTip()] == []
    measured = measure(panel, "lattice")
    record = of_kind(measured, Shapes).metadata["napari-atomseg"]
    assert record["settings"]["cell"] == "conventional"
    assert record["source"] == "scene columns"
    panel.save_table(tmp_path / "cells.csv")
    assert len(pd.read_csv(tmp_path / "cells.csv")) == 64
    older = of_kind(measured, Shapes)
    measure(panel, "spacings")
    assert not older.visible
    assert not any(isinstance(layer, Image) for layer in viewer.layers)


def test_titles_of_measurements_are_read_as_a_whole(dock: OpenPanel, viewer: Any) -> None:
    panel = dock("Measure")
    box = panel.form.inputs["measure"].native
    room = panel.width_of_form - 60
    for place in range(box.count()):
        assert box.fontMetrics().horizontalAdvance(box.itemText(place)) < room
    # However long the labels of a page are.
    assert panel.form.rows.labelForField(box) is None
