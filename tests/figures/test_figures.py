"""Figures: what is drawn where, in which unit, and what is refused."""

from __future__ import annotations

import json
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from napari_atomseg import figures
from napari_atomseg.figures.canvas import style
from napari_atomseg.figures.density import highest
from napari_atomseg.figures.strain import nearest_values
from napari_atomseg.figures.tables import is_category, label

MM = 1 / 25.4


def texts(figure: Figure) -> list[str]:
    """Everything that is written, colour bars and legends included."""
    figure.canvas.draw()  # type: ignore[attr-defined]
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return [text for text in found if text]


def of_kind(figure: Figure, kind: type) -> list[Any]:
    return list(figure.axes[0].findobj(kind))


def test_markers_stand_at_their_columns(image: Any, table: pd.DataFrame) -> None:
    (markers,) = of_kind(figures.overlay(image, table), PathCollection)
    np.testing.assert_array_equal(markers.get_offsets(), table[["x", "y"]])


def test_a_density_is_drawn_where_its_vectors_point() -> None:
    y, x = np.mgrid[-4:5, -2:9].astype(float) * 0.25
    density = np.exp(-((y - 0.5) ** 2 + (x - 1.5) ** 2) / 0.02)
    grid = pd.DataFrame({"vector_y": y.ravel(), "vector_x": x.ravel(), "density": density.ravel()})
    # Empty bins are left out of tables.
    figure = figures.density_map(grid[grid["density"] > 1e-6], unit="px")
    axes = figure.axes[0]
    image = axes.get_images()[0]
    left, right, bottom, top = image.get_extent()
    row, col = np.unravel_index(image.get_array().argmax(), image.get_array().shape)
    assert top + (row + 0.5) * 0.25 == pytest.approx(0.5)
    assert left + (col + 0.5) * 0.25 == pytest.approx(1.5)
    assert bottom > top
    assert right > left
    assert "x (px)" in texts(figure)
    part = figures.density_map(grid, around=(0.5, 1.5), reach=0.3).axes[0].get_images()[0]
    assert part.get_extent() == pytest.approx([1.125, 1.875, 0.875, 0.125])
    with pytest.raises(ValueError, match="no density within"):
        figures.density_map(grid, around=(50.0, 0.0))
    with pytest.raises(ValueError, match="vector_y, vector_x, density"):
        figures.density_map(pd.DataFrame({"y": [1.0]}))


def test_a_narrow_peak_of_a_fine_density_is_drawn() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((301, 437)) * 0.1
    values[123, 400] = 7.0
    shown, (left, right, bottom, top) = highest(values, (0.0, 437.0, 301.0, 0.0))
    assert max(shown.shape) <= 60
    row, col = np.unravel_index(shown.argmax(), shown.shape)
    assert shown.max() == 7.0
    step = (bottom - top) / shown.shape[0]
    assert step * row <= 123 < step * (row + 1)
    assert left + step * col <= 400 < left + step * (col + 1)
    assert (right - left) / shown.shape[1] == pytest.approx(step)


def test_rows_of_the_image_run_downwards(image: Any) -> None:
    axes = figures.overlay(image).axes[0]
    assert axes.get_ylim() == (39.5, -0.5)
    assert axes.get_xlim() == (-0.5, 59.5)
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), image)


def test_colours_of_an_overlay_have_a_bar_with_their_unit(image: Any, table: pd.DataFrame) -> None:
    table.loc[3, "volume"] = np.nan
    figure = figures.overlay(image, table, colour_by="volume")
    assert "volume (intensity px²)" in texts(figure)
    unknown, known = of_kind(figure, PathCollection)
    np.testing.assert_array_equal(unknown.get_offsets(), table[["x", "y"]].iloc[[3]])
    assert known.get_array().filled(np.nan)[5] == 105.0
    low, high = known.get_clim()
    assert 100 <= low < 101
    assert 118 < high <= 119


def test_kinds_differ_in_colour_and_marker(image: Any, table: pd.DataFrame) -> None:
    figure = figures.overlay(image, table, colour_by="sublattice")
    even, odd = of_kind(figure, PathCollection)
    assert len(even.get_offsets()) == len(odd.get_offsets()) == 10
    assert not np.allclose(even.get_facecolor(), odd.get_facecolor())
    assert len(even.get_paths()[0]) != len(odd.get_paths()[0])
    assert {"0", "1", "sublattice"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("sampling", "text", "pixels"), [(0.2, "2 Å", 10), (1.0, "1 nm", 10), ((0.4, 0.2), "2 Å", 10)]
)
def test_scale_bar_has_a_round_length(image: Any, sampling: Any, text: str, pixels: float) -> None:
    figure = figures.overlay(image, sampling=sampling)
    (bar,) = (each for each in figure.axes[0].patches if isinstance(each, Rectangle))
    assert bar.get_width() == pytest.approx(pixels)
    assert text in texts(figure)


def test_without_sampling_there_is_no_scale_bar(image: Any) -> None:
    assert len(figures.overlay(image).axes[0].patches) == 0


def test_pixels_that_are_no_squares_have_their_shape(image: Any) -> None:
    assert figures.overlay(image, sampling=(0.4, 0.2)).axes[0].get_aspect() == 2.0


def test_cells_are_polygons(image: Any) -> None:
    corners = np.array([[(0, 0), (0, 10), (10, 10)], [(5, 5), (5, 15), (15, 15)]])
    (cells,) = of_kind(figures.overlay(image, cells=corners), PolyCollection)
    np.testing.assert_array_equal(cells.get_paths()[1].vertices[:3], corners[1][:, ::-1])


def test_arrows_point_where_columns_are_displaced(image: Any, table: pd.DataFrame) -> None:
    """y grows downwards, and the longest arrows nearly reach the next column."""
    (arrows,) = of_kind(figures.vector_map(table, image), Quiver)
    np.testing.assert_array_equal(arrows.XY, table[["x", "y"]])
    np.testing.assert_array_equal(arrows.U, 0)
    np.testing.assert_array_equal(np.sign(arrows.V), np.sign(table["dy_pm"]))
    assert np.abs(arrows.V).max() == pytest.approx(0.9 * 10)
    assert arrows.V[1] / arrows.V[0] == pytest.approx(-2)


def test_magnified_arrows_have_their_length(image: Any, table: pd.DataFrame) -> None:
    """20 pm are 1 px of 0.2 Å."""
    (arrows,) = of_kind(figures.vector_map(table, image, magnify=5.0), Quiver)
    assert arrows.V[1] == pytest.approx(5.0)


def test_arrow_of_a_round_length_is_drawn_to_scale(image: Any, table: pd.DataFrame) -> None:
    figure = figures.vector_map(table, image, magnify=10.0)
    assert "20 pm" in texts(figure)
    arrow = next(each for each in figure.axes[0].texts if getattr(each, "arrow_patch", None))
    assert abs(arrow.xy[0] - arrow.get_position()[0]) == pytest.approx(10.0)


@pytest.mark.slow
def test_directions_have_a_wheel_and_lengths_a_bar(image: Any, table: pd.DataFrame) -> None:
    assert len(figures.vector_map(table, image).axes[0].child_axes) == 1
    lengths = figures.vector_map(table, image, colour_by="length")
    assert "length (pm)" in texts(lengths)
    assert len(lengths.axes[0].child_axes) == 0


@pytest.mark.parametrize("names", [("dy_angstrom", "dx_angstrom"), ("shift_y_pm", "shift_x_pm")])
def test_vectors_are_found_by_their_names(table: pd.DataFrame, names: tuple[str, str]) -> None:
    renamed = table.rename(columns={"dy_pm": names[0], "dx_pm": names[1]})
    (arrows,) = of_kind(figures.vector_map(renamed), Quiver)
    np.testing.assert_array_equal(np.sign(arrows.V), np.sign(table["dy_pm"]))


def test_bars_count_every_finite_value(table: pd.DataFrame) -> None:
    table.loc[0, "volume"] = np.inf
    axes = figures.histogram(table, "volume").axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 19
    assert axes.get_xlabel() == "volume (intensity px²)"


def test_curve_of_a_histogram_has_its_area_and_says_mean_and_error() -> None:
    values = np.random.default_rng(1).normal(390, 6, 900)
    figure = figures.histogram(values, "spacing", unit="pm")
    (curve,) = figure.axes[0].get_lines()
    bars = figure.axes[0].patches
    x, y = curve.get_data()
    area = len(values) * bars[0].get_width()
    assert float(np.trapezoid(y, x)) == pytest.approx(area, rel=0.01)
    (said,) = (text for text in texts(figure) if "mean" in text)
    mean, error = map(float, re.search(r"mean ([\d.]+) ± ([\d.]+) pm", said).groups())  # type: ignore[union-attr]
    assert mean == pytest.approx(values.mean(), abs=0.01)
    assert error == pytest.approx(values.std(ddof=1) / 30, rel=0.05)


def test_components_add_up() -> None:
    values = np.concatenate([np.full(300, 1.0), np.full(100, 2.0)])
    parts = [(0.75, 1.0, 0.05), (0.25, 2.0, 0.05)]
    lines = figures.histogram(values, components=parts, bins=40).axes[0].get_lines()
    first, second, whole = (line.get_ydata() for line in lines)
    np.testing.assert_allclose(first + second, whole)
    assert first.max() == pytest.approx(3 * second.max(), rel=0.05)


def test_quantities_of_one_unit_share_their_axis(table: pd.DataFrame) -> None:
    above, below = figures.histogram(table, ["dy_pm", "dx_pm"]).axes
    assert above.get_xlim() == below.get_xlim()
    above, below = figures.histogram(table, ["dy_pm", "volume"]).axes
    assert above.get_xlim() != below.get_xlim()


@pytest.mark.slow
def test_strain_is_in_per_cent_and_rotation_in_degrees() -> None:
    maps = {"eps_xx": np.full((8, 9), 0.02), "rotation_deg": np.full((8, 9), -1.5)}
    figure = figures.strain_map(maps, sampling=0.2)
    strain, rotation = figure.axes[0].get_images()[0], figure.axes[1].get_images()[0]
    np.testing.assert_allclose(strain.get_array(), 2.0)
    np.testing.assert_allclose(rotation.get_array(), -1.5)
    assert {"%", "°", "rotation"} <= set(texts(figure))
    low, high = strain.get_clim()
    assert low == -high


@pytest.mark.slow
def test_strains_share_their_scale(table: pd.DataFrame) -> None:
    maps = {"eps_xx": np.full((8, 8), 0.02), "eps_yy": np.full((8, 8), 0.001)}
    one, other = (axes.get_images()[0].get_clim() for axes in figures.strain_map(maps).axes[:2])
    assert one == other
    limited = figures.strain_map(maps, limit=5.0).axes[0].get_images()[0]
    assert limited.get_clim() == (-5.0, 5.0)


def test_columns_colour_the_pixels_nearest_to_them(table: pd.DataFrame) -> None:
    table["eps_xx"] = table["volume"]
    drawn = nearest_values(table, ["eps_xx"], (40, 90))["eps_xx"]
    assert drawn[5, 5] == 100
    assert drawn[6, 13] == 101
    assert np.isnan(drawn[:, 60:]).all(), "nothing was measured far from the columns"


@pytest.mark.parametrize(
    "shape",
    [(40, 200), *(pytest.param(each, marks=pytest.mark.slow) for each in ((90, 90), (200, 60)))],
)
def test_no_bands_stay_blank(shape: tuple[int, int], table: pd.DataFrame) -> None:
    """Images, with titles, bars and legends about them, fill the sheet, whatever their shape."""
    image = np.random.default_rng(0).random(shape)
    table = table.assign(dy=1.0, dx=2.0, kind="Sr", eps_xx=0.01, eps_yy=0.02, rotation_deg=0.1)
    bar = 0.6 if shape[0] < shape[1] else 0.15
    title = "A title"
    for figure, about in (
        (figures.overlay(image, table, colour_by="volume", sampling=(0.1, 0.13)), bar),
        (figures.overlay(image, table, colour_by="kind", title=title), 0.75),
        (figures.vector_map(table, image), 0.15),
        (figures.vector_map(table, image, colour_by="length"), bar),
        (figures.strain_map(table, shape=shape, sampling=0.1, title=title), 1.1),
    ):
        figure.canvas.draw()  # type: ignore[attr-defined]
        used = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert -0.02 < width - used.width < 0.2, "inches: cut off, or blank"
        assert -0.02 < height - used.height < 0.2
        assert height * (1.0 - figure.axes[0].get_position().height) < about


def test_polarization_is_drawn_in_its_unit(image: Any, table: pd.DataFrame) -> None:
    """As the measurements name it; where there are displacements too, `vectors` chooses."""
    for pair in (("p_y", "p_x"), ("polarization_y", "polarization_x")):
        polar = table[["y", "x"]].assign(**{pair[0]: 20.0, pair[1]: 0.0})
        figure = figures.vector_map(polar, image)
        assert "20 µC/cm²" in texts(figure)
        (arrows,) = of_kind(figure, Quiver)
        assert np.all(arrows.V > 0), "downwards"
        both = polar.assign(dy_pm=-5.0, dx_pm=0.0)
        (arrows,) = of_kind(figures.vector_map(both, image), Quiver)
        assert np.all(arrows.V < 0)
        (arrows,) = of_kind(figures.vector_map(both, image, vectors=pair), Quiver)
        assert np.all(arrows.V > 0)


@pytest.mark.parametrize("width", [89.0, 183.0])
def test_figures_are_as_wide_as_asked(image: Any, table: pd.DataFrame, width: float) -> None:
    for figure in (
        figures.overlay(image, table, width=width),
        figures.vector_map(table, image, width=width),
        figures.histogram(table, "volume", width=width),
    ):
        assert figure.get_figwidth() == pytest.approx(width * MM)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_saved_as_what_its_suffix_says(
    image: Any, table: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        figure = figures.overlay(image, table, colour_by="volume")
        figures.save(figure, path, metadata={"action": "figure", "source": "Å"})
    content = first.read_bytes()
    assert content == second.read_bytes()
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert content.startswith(start)
    if suffix == ".png":
        pixels = imageio.imread(first)
        assert pixels.shape[1] == pytest.approx(89 * MM * 300, abs=1)
    if suffix == ".svg":
        assert "volume (intensity px²)" in content.decode(), "text stays text"
        assert "action" in content.decode()


def test_the_record_is_in_a_png(image: Any, tmp_path: Path) -> None:
    from PIL import Image

    figures.save(figures.overlay(image), tmp_path / "a.png", metadata={"source": "scene"})
    with Image.open(tmp_path / "a.png") as picture:
        assert json.loads(picture.info["Description"]) == {"source": "scene"}


def test_settings_of_the_user_stay(image: Any, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figures.save(figures.overlay(image), tmp_path / "a.svg")
    assert dict(mpl.rcParams) == before


def test_two_threads_that_draw_leave_the_settings_of_the_user() -> None:
    size, entered, left = mpl.rcParams["font.size"], threading.Event(), threading.Event()

    def draw() -> None:
        with style():
            entered.set()
            left.wait(10.0)

    other = threading.Thread(target=draw)
    with style():
        other.start()
        assert not entered.wait(0.1)
    left.set()
    other.join()
    assert entered.is_set()
    assert mpl.rcParams["font.size"] == size


@pytest.mark.parametrize("count", [0, 1])
def test_few_columns_are_drawn_without_a_warning(
    image: Any, table: pd.DataFrame, count: int
) -> None:
    few = table.iloc[:count]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (figures.overlay(image, few), figures.vector_map(few, image)):
            texts(figure)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda i, t: figures.overlay(i[None], t), "single image"),
        (lambda i, t: figures.overlay(i, t, colour_by="height"), "height"),
        (lambda i, t: figures.overlay(i, t, width=0), "width"),
        (lambda i, t: figures.overlay(i, cells=np.zeros((3, 2))), "cells"),
        (lambda i, t: figures.overlay(i, pd.concat([t.assign(frame=n) for n in (0, 1)])), "frame"),
        (lambda i, t: figures.vector_map(t[["y", "x"]], i), "no known vectors"),
        (lambda i, t: figures.vector_map(t, i, colour_by="hue"), "colour_by"),
        (lambda i, t: figures.histogram(t), "name columns"),
        (lambda i, t: figures.histogram(t, "height"), "height"),
        (lambda i, t: figures.histogram([np.nan]), "no finite"),
        (lambda i, t: figures.histogram(["a"]), "no numbers"),
        (lambda i, t: figures.histogram(t, "volume", bins=0), "bins"),
        (lambda i, t: figures.histogram(t, "volume", fit="gamma"), "fit"),
        (lambda i, t: figures.strain_map(t), "eps_xx"),
        (lambda i, t: figures.strain_map({}), "no maps"),
        (lambda i, t: figures.strain_map({"eps_xx": i, "eps_yy": i[1:]}), "shape"),
        (lambda i, t: figures.strain_map({"eps_xx": i}, limit=-1.0), "limit"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    image: Any, table: pd.DataFrame, draw: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        draw(image, table)


def test_magnified_lengths_need_a_sampling(image: Any, table: pd.DataFrame) -> None:
    table.attrs.clear()
    with pytest.raises(ValueError, match="sampling"):
        figures.vector_map(table, image, magnify=10.0)


def test_what_cannot_be_saved_is_told(image: Any, tmp_path: Path) -> None:
    figure = figures.overlay(image)
    with pytest.raises(ValueError, match=r"\.png"):
        figures.save(figure, tmp_path / "a.docx")
    with pytest.raises(ValueError, match="dpi"):
        figures.save(figure, tmp_path / "a.png", dpi=0)
    with pytest.raises(OSError, match=r"missing"):
        figures.save(figure, tmp_path / "missing" / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("volume", "volume (intensity px²)"),
        ("y_err", "y err (px)"),
        ("shift_y_pm", "shift y (pm)"),
        ("rotation_deg", "rotation (°)"),
        ("label", "label"),
    ],
)
def test_axes_say_their_unit(name: str, said: str) -> None:
    assert label(name) == said


def test_whole_numbers_with_gaps_are_kinds(image: Any, table: pd.DataFrame) -> None:
    """Counts and grains are floats where some are missing; measured floats are none."""
    counts = np.where(np.arange(len(table)) % 2, 3.0, 4.0)
    assert not is_category(pd.Series(counts))
    counts[0] = np.nan
    table = table.assign(count=counts)
    assert is_category(table["count"])
    assert not is_category(table["count"] + 0.5)
    assert {"3", "4"} <= set(texts(figures.overlay(image, table, colour_by="count")))
