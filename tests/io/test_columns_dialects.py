"""Text tables of other programs: the same columns in every dialect, in pixels only where so."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import read_columns

Y, X = [10.5, 30.0, -2.25], [20.25, 40.0, 1e-5]
DY, DX = 0.5, 0.25
"""Å per pixel."""
PER_UNIT = {"px": None, "Å": 1.0, "nm": 10.0, "pm": 0.01, "µm": 1e4, "A": 1.0, "pixel": None}
"""Å in a unit."""


def written(path: Path, lines: list[list[str]], separator: str, encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join(separator.join(each) for each in lines).encode(encoding))
    return path


def in_unit(values: list[float], unit: str, step: float) -> list[float]:
    per_unit = PER_UNIT[unit]
    return values if per_unit is None else [value * step / per_unit for value in values]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    points=st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=6),
    separator=st.sampled_from([",", ";", "\t", "|", "  "]),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    units=st.tuples(st.sampled_from(sorted(PER_UNIT)), st.sampled_from(sorted(PER_UNIT))),
    brackets=st.sampled_from(["{} [{}]", "{} ({})", "{}_{}", "{}/{}", "{} in {}", "below"]),
    preamble=st.sampled_from(["", "# made on a Tuesday\n", "% x\n%\n", "Program 1.2, µ-scope\n\n"]),
    text=st.booleans(),
)
def test_every_dialect_reads_alike(
    tmp_path_factory: pytest.TempPathFactory,
    points: list[tuple[float, float]],
    separator: str,
    comma: bool,
    encoding: str,
    ends: str,
    units: tuple[str, str],
    brackets: str,
    preamble: str,
    text: bool,
) -> None:
    if separator == "  " and " in " in brackets:
        brackets = "{}_{}"
    quote = '"' if comma and separator == "," else ""
    values = [in_unit([p[k] for p in points], units[k], (DY, DX)[k]) for k in (0, 1)]
    names = ["x", "y"] if brackets == "below" else [
        brackets.format(axis, unit) for axis, unit in zip("xy", units[::-1], strict=True)
    ]  # fmt: skip
    rows = [names, [f"({unit})" for unit in units[::-1]]] if brackets == "below" else [names]
    for y, x in zip(*values, strict=True):
        cells = [repr(x), repr(y)]
        rows.append([quote + (c.replace(".", ",") if comma else c) + quote for c in cells])
    if text:
        rows = [[*row, extra] for row, extra in zip(rows, ["kind", *["Sr"] * 9], strict=False)]
    content = preamble + "\n".join(separator.join(row) for row in rows) + "\n"
    path = tmp_path_factory.getbasetemp() / "dialect.csv"
    path.write_bytes(content.replace("\n", ends).encode(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = read_columns(path, sampling=(DY, DX))
    assert list(table)[:2] == ["y", "x"]
    np.testing.assert_allclose(table[["y", "x"]].to_numpy(), points, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(table["y_angstrom"], table["y"] * DY)
    if text:
        assert set(table["kind"]) == {"Sr"}


NAMES = [
    ("y", "x"), ("Y", "X"), ("row", "col"), ("Row", "Column"), ("pos_y", "pos_x"), ("yc", "xc"),
    ("y_pos", "x_pos"), ("y-position", "x-position"), ("centroid-0", "centroid-1"), ("i", "j"),
    ("axis-0", "axis-1"), ("Y coordinate", "X coordinate"), ("centroid_y", "centroid_x"),
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
def test_names_of_other_programs(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = [["name", *names], ["1", "10.5", "20.25"], ["2", "30", "40"]]
    table = read_columns(written(tmp_path / "a.csv", rows, ";"))
    assert table[["y", "x"]].to_numpy().tolist() == [[10.5, 20.25], [30.0, 40.0]]


def test_missing_numbers_stay_missing(tmp_path: Path) -> None:
    rows = [
        ["y", "x", "height"],
        ["1", "2", ""],
        ["nan", "3", "NA"],
        ["", "4", "7"],
        ["5", "6", "-"],
    ]
    with pytest.warns(UserWarning, match=r"a\.csv: 2 rows have no position, of 4"):
        table = read_columns(written(tmp_path / "a.csv", rows, ","))
    np.testing.assert_array_equal(table["y"], [1, np.nan, np.nan, 5])
    np.testing.assert_array_equal(table["height"], [np.nan, np.nan, 7, np.nan])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("y,x\n1,2\n3\n", "line 3 has 1 field"),
        ("y,x\n1,2\nTotal: 2 columns\n", "line 3"),
        ("y,x\n1,2\n3,4,5\n", "line 3 has 3 fields"),
        ("y,x\n1,2\n3,four\n", "'x'.*'four' in line 3"),
        ("y,x\nerror,error\n1,2\n", "'y'.*'error' in line 2"),
        ("y;x\n1.024,5;2\n3,5;4\n", r"'y'.*'1\.024,5' in line 2"),
        ("y,x\n10,5,20,25\n30,0,40,0\n", "decimal comma"),
        ("Area,Mean\n1,2\n", "lacks y and x.*Area, Mean.*axes"),
        ("x,z\n1,2\n", "lacks y"),
        ("index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,2\n", "shapes layer"),
        (",0,1\n0,1,2\n1,3,4\n", "without names.*yx or xy"),
        ("\0\1\2\3binary", "binary"),
    ],
)
def test_files_that_are_wrong_are_refused_by_line(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "wrong.csv").write_text(content, encoding="utf-8")
    with pytest.raises(OSError, match=rf"wrong\.csv.*{message}"):
        read_columns(tmp_path / "wrong.csv")


FIJI = [[" ", "Area", "Mean", "X", "Y"], ["1", "12", "99.5", "2.025", "1.05"],
        ["2", "13", "98.5", "4", "3"]]  # fmt: skip
TRACKMATE = "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,FRAME,RADIUS\n"
TRACKMATE_NAMES = (
    "Label,Spot ID,Track ID,Quality,X,Y,Z,Frame,Radius\nLabel,ID,Track,Quality,X,Y,Z,Frame,R\n"
)
TRACKMATE_ROWS = "ID1,1,0,2.0,2.025,1.05,0,0,0.2\nID2,2,0,2.0,4.0,3.0,0,3,0.2\n"


def test_results_of_fiji_are_asked_for_their_unit(tmp_path: Path) -> None:
    path = written(tmp_path / "Results.csv", FIJI, ",")
    for arguments in ({}, {"sampling": 0.1}, {"axes": ("Y", "X")}):
        with pytest.raises(ValueError, match=r"Results\.csv.*Fiji.*X and Y.*units=.*--units"):
            read_columns(path, **arguments)
    table = read_columns(path, units="nm", sampling=1.0)
    np.testing.assert_allclose(table[["y", "x"]], [[10.5, 20.25], [30, 40]])
    assert table["Area"].tolist() == [12, 13]
    assert read_columns(path, units="px")["x"].tolist() == [2.025, 4]


def test_slices_of_fiji_count_from_one(tmp_path: Path) -> None:
    rows = [[*row, part] for row, part in zip(FIJI, ["Slice", "1", "3"], strict=True)]
    table = read_columns(written(tmp_path / "a.txt", rows, "\t"), units="px")
    assert table["frame"].tolist() == [0, 2]
    rows = [[*row, part] for row, part in zip(FIJI, ["Slice", "1", "1"], strict=True)]
    assert "frame" not in read_columns(written(tmp_path / "a.txt", rows, "\t"), units="px")


def test_trackmate_has_its_units_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "spots.csv"
    units = ",,,(quality),(nm),(nm),(nm),,(nm)\n"
    path.write_text(TRACKMATE + TRACKMATE_NAMES + units + TRACKMATE_ROWS, encoding="utf-8")
    with pytest.raises(ValueError, match=r"spots\.csv.*in nm.*sampling"):
        read_columns(path)
    table = read_columns(path, sampling=1.0)
    np.testing.assert_allclose(table[["y", "x"]], [[10.5, 20.25], [30, 40]])
    assert table["frame"].tolist() == [0, 3]
    assert {"POSITION_Z [nm]", "RADIUS [nm]", "QUALITY"} <= set(table)
    assert table.attrs["source"] == "TrackMate"
    in_pixels = units.replace("nm", "pixel")
    path.write_text(TRACKMATE + TRACKMATE_NAMES + in_pixels + TRACKMATE_ROWS, encoding="utf-8")
    assert read_columns(path)["x"].tolist() == [2.025, 4]
    path.write_text(TRACKMATE + TRACKMATE_ROWS, encoding="utf-8")
    with pytest.raises(ValueError, match=r"TrackMate.*units="):
        read_columns(path)


def test_thunderstorm_writes_lengths(tmp_path: Path) -> None:
    rows = [['"id"', '"frame"', '"x [nm]"', '"y [nm]"', '"sigma [nm]"', '"uncertainty [nm]"'],
            ["1", "1", "2", "1", "0.1", "0.01"], ["2", "2", "4", "3", "0.2", "0.02"]]  # fmt: skip
    table = read_columns(written(tmp_path / "a.csv", rows, ","), sampling=(DY, DX))
    np.testing.assert_allclose(table[["y", "x"]], [[20, 80], [60, 160]])
    # A width is in the pixel of the same area.
    np.testing.assert_allclose(table["sigma"], np.array([1, 2]) / np.sqrt(DY * DX))
    assert table["frame"].tolist() == [0, 1]
    assert table["uncertainty [nm]"].tolist() == [0.01, 0.02]


def test_points_layers_of_napari(tmp_path: Path) -> None:
    rows = [["index", "axis-0", "axis-1", "axis-2", "kind"],
            ["0.0", "0.0", "10.5", "20.25", "a"], ["1.0", "2.0", "30", "40", "b"]]  # fmt: skip
    table = read_columns(written(tmp_path / "a.csv", rows, ","))
    assert table[["frame", "y", "x"]].to_numpy().tolist() == [[0, 10.5, 20.25], [2, 30, 40]]
    assert table["kind"].tolist() == ["a", "b"]


def test_units_count_by_column(tmp_path: Path) -> None:
    for names in (["x [nm]", "y"], ["x", "y (Å)"]):
        path = written(tmp_path / "half.csv", [names, ["1", "2"], ["3", "4"]], ",")
        with pytest.raises(ValueError, match=r"half\.csv.*has a unit.*has none.*units="):
            read_columns(path, sampling=1.0)
    for unit in ("mrad", "1/nm", "furlong"):
        path = written(tmp_path / "odd.csv", [[f"x [{unit}]", "y [nm]"], ["1", "2"]], ",")
        with pytest.raises(ValueError, match=rf"odd\.csv.*'x \[{unit}\]'.*'{unit}'.*no length"):
            read_columns(path, sampling=1.0)
    rows = [["x [px]", "y [px]", "x [nm]", "y [nm]"], ["1", "2", "0.1", "0.2"]]
    assert read_columns(written(tmp_path / "both.csv", rows, ","))["y"].tolist() == [2]


def test_widths_and_errors_become_pixels(tmp_path: Path) -> None:
    rows = [["y [nm]", "x [nm]", "sigma [px]", "y_err [nm]", "x_err [pm]", "radius", "dy_pm"],
            ["1", "2", "1.5", "0.05", "5", "3", "7"]]  # fmt: skip
    path = written(tmp_path / "a.csv", rows, ",")
    with pytest.warns(UserWarning, match="radius has no unit"):
        table = read_columns(path, sampling=(DY, DX))
    assert table[["sigma", "y_err", "x_err", "dy_pm"]].to_numpy().tolist() == [[1.5, 1, 0.2, 7]]
    assert "radius" not in table
    assert table["radius (unit not given)"].tolist() == [3]


def test_positions_closer_than_pixels_are_doubted(tmp_path: Path) -> None:
    places = [[str(0.39 * i), str(0.39 * j)] for i, j in itertools.product(range(3), range(3))]
    path = written(tmp_path / "nm.csv", [["y", "x"], *places], ",")
    with pytest.warns(UserWarning, match=r"nm\.csv.*0\.39 px apart.*units="):
        read_columns(path)
    assert "notes" not in read_columns(path, units="nm", sampling=0.1).attrs


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("# units: nm\nx,y\n2,1\n4,3\n", {"sampling": 1.0}),
        ("x,y\nnm,nm\n2,1\n4,3\n", {"sampling": 1.0}),
        ("Position X,Position Y,Unit,ID\n2,1,nm,0\n4,3,nm,1\n", {"sampling": 1.0}),
        ("# sampling: 1.0\nx [nm],y [nm]\n2,1\n4,3\n", {}),
        ("sep=;\nx [nm];y [nm]\n2;1\n4;3\n", {"sampling": 1.0}),
        ('"y" "x"\n"1" 10 20\n"2" 30 40\n', {}),
        ("x [px]  y [px]\n-----  ------\n  20      10\n  40   30\n", {}),
        ("Lab 3, 512, 512\n\nX [px]   Y [px]\n20 10\n40 30\n", {}),
        ("% y x\n1e1 2e1\n3D+01 4d1\n", {}),
        (",0,1\n0,10,20\n1,30,40\n", {"axes": "yx"}),
        ("y;x;\n10;20;\n30;40;\n", {}),
        ("y;x\n10;20;\n30;40;\n", {}),
        ('"# sampling: 0.1";;\ny;x\n10;20\n30;40\n', {}),
        ('y,x,note\n10,20,"a\nb, c"\n30,40,\n', {}),
    ],
)
def test_odd_layouts(tmp_path: Path, content: str, arguments: dict[str, Any]) -> None:
    (tmp_path / "odd.txt").write_text(content, encoding="utf-8")
    table = read_columns(tmp_path / "odd.txt", **arguments)
    np.testing.assert_allclose(table[["y", "x"]], [[10, 20], [30, 40]])


def test_own_table_edited_in_a_german_spreadsheet(tmp_path: Path) -> None:
    content = (
        '"# units: {""y"": ""px"", ""x"": ""px""}";;\n# sampling: 0.1;;\n'
        "y;x;label\n10,5;20,25;1\n30;40;2\n"
    )
    (tmp_path / "a.csv").write_bytes(content.encode("cp1252"))
    table = read_columns(tmp_path / "a.csv")
    expected = pd.DataFrame({"y": [10.5, 30.0], "x": [20.25, 40.0], "label": [1, 2]})
    pd.testing.assert_frame_equal(table[["y", "x", "label"]], expected)
    assert table.attrs["sampling"] == 0.1


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    content=st.one_of(
        st.text(st.sampled_from("xy[nm]()px;,\t .-+e0123456789#\"'\n\r_|%Åµ/"), max_size=80),
        st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")),
    ),
    axes=st.sampled_from([None, "yx", ("y", "x")]),
)
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str, axes: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(content.encode("utf-8"))
    with warnings.catch_warnings(), contextlib.suppress(OSError, ValueError):
        warnings.simplefilter("ignore")
        table = read_columns(path, axes=axes)
        assert list(table)[:2] == ["y", "x"]
        assert all(table[name].dtype.kind in "if" for name in "yx")
