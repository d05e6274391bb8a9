"""Tables of columns: every number comes back, with units, sampling and provenance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.io import read_columns, write_columns

TABLE = pd.DataFrame(
    {
        "y": [1.1, 1 / 3],
        "x": [2.0, math.pi],
        "volume": [np.nan, -1e-300],
        "label": [1, 2],
        "elements": ["Sr", "TiO"],
    }
)


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_every_number_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.csv"
    table = pd.DataFrame({"y": 0.5, "x": 1.5, "amplitude": numbers})
    write_columns(path, table)
    again = read_columns(path)["amplitude"].to_numpy(float)
    np.testing.assert_array_equal(again, numbers)


def test_table_comes_back_with_its_types(tmp_path: Path) -> None:
    write_columns(tmp_path / "a.csv", TABLE)
    pd.testing.assert_frame_equal(read_columns(tmp_path / "a.csv"), TABLE)


@pytest.mark.parametrize("sampling", [0.1211, (0.1, 0.2), None])
def test_sampling_and_provenance_come_back(tmp_path: Path, sampling: object) -> None:
    table = TABLE.copy()
    table.attrs = {"sampling": sampling, "model": "stem-hr"}
    write_columns(
        tmp_path / "a.csv", table, {"provenance": {"action": "localize", "file": "Ä: #1\n\u2028"}}
    )
    assert read_columns(tmp_path / "a.csv").attrs == {
        "sampling": sampling,
        "model": "stem-hr",
        "provenance": {"action": "localize", "file": "Ä: #1\n\u2028"},
    }


def test_header_says_units(tmp_path: Path) -> None:
    write_columns(tmp_path / "a.csv", TABLE)
    first, second, *_ = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert first == '# units: {"y": "px", "x": "px", "volume": "intensity px²"}'
    assert second == "y,x,volume,label,elements"


def test_empty_table_comes_back(tmp_path: Path) -> None:
    write_columns(tmp_path / "a.csv", TABLE.iloc[:0].astype({"elements": float}))
    again = read_columns(tmp_path / "a.csv")
    assert len(again) == 0
    assert list(again.columns) == list(TABLE.columns)


def test_table_of_another_program_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfx,y\r\n1,2\r\n3,4\r\n")
    table = read_columns(tmp_path / "a.csv")
    assert table[["y", "x"]].to_numpy().tolist() == [[2, 1], [4, 3]]
    assert table.attrs == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"# only: 1\n", b"a,b\n1,2\n", b"y\n1\n", b"y,x\n1,here\n", bytes(range(128, 256))],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign.csv").write_bytes(content)
    with pytest.raises(OSError, match=r"foreign\.csv"):
        read_columns(tmp_path / "foreign.csv")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"absent\.csv"):
        read_columns(tmp_path / "absent.csv")


def test_failed_write_keeps_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    write_columns(path, TABLE)
    before = path.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_columns(path, TABLE.iloc[:1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
