"""Tables of other programs on the command line: the same columns as in Python, and questions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from napari_atomseg.cli import app
from napari_atomseg.io import read_columns

FIJI = " \tArea\tX\tY\n1\t12\t2,025\t1,05\n2\t13\t4\t3\n"
MIXED = "x [nm];y [Å]\n2,025;10,5\n4;30\n"
BARE = "10,5;20,25\n30,0;40,0\n"


def run(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize(
    ("content", "question", "options", "keywords"),
    [
        (
            FIJI,
            "--units",
            ["--units", "nm", "--sampling", 1, 1],
            {"units": "nm", "sampling": (1, 1)},
        ),
        (MIXED, "--sampling", ["--sampling", 1, 0.5], {"sampling": (1, 0.5)}),
        (BARE, "--axes", ["--axes", "yx"], {"axes": "yx"}),
    ],
)
def test_tables_are_converted_or_asked_for_what_they_lack(
    tmp_path: Path, content: str, question: str, options: list[object], keywords: dict[str, object]
) -> None:
    source, target = tmp_path / "foreign.csv", tmp_path / "own.csv"
    source.write_text(content, encoding="latin-1")
    done = run("columns", "convert", source, target, code=1)
    assert "foreign.csv" in done.stderr
    assert question in done.stderr
    assert not target.exists()
    run("columns", "convert", source, target, *options)
    pd.testing.assert_frame_equal(read_columns(target), read_columns(source, **keywords))


def test_rows_without_a_position_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,x\nnan,1\n3,4\n", encoding="utf-8")
    done = run("columns", "convert", tmp_path / "a.csv", tmp_path / "b.csv")
    assert "1 row has no position, of 2" in done.stderr
