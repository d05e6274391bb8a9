"""Measurements on the command line: real files in, tables with provenance out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_atomseg.analysis import find_lattice, find_zone_axis
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image, write_columns, write_image
from napari_atomseg.specimen.defects import EdgeDislocation

SAMPLING = 0.1


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["measure", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout + done.stderr


def perovskite(path="columns.csv", noise=0.2, size=400.0):
    """A cell of 4 Å whose second ion stands 24 pm off the middle, along y."""
    steps = np.mgrid[:11, :11].reshape(2, -1).T * 40.0
    rng = np.random.default_rng(0)
    parts = []
    for offset, bright in (((1.0, 1.0), 3.0), ((23.4, 21.0), 1.0)):
        part = pd.DataFrame(steps + offset + rng.normal(0, noise, steps.shape), columns=["y", "x"])
        parts.append(part.assign(y_err=noise, x_err=noise, volume=bright))
    columns = pd.concat(parts, ignore_index=True)
    columns.attrs = {"sampling": SAMPLING}
    write_columns(path, columns)
    return columns


@pytest.mark.slow
def test_lattice_spacings_displacements_and_strain():
    perovskite()
    said = run("lattice", "columns.csv", "-o", "sites.csv", "--names", "Ba,Ti")
    assert "a = 4.0" in said
    sites = read_columns("sites.csv")
    assert set(sites["species"]) == {"Ba", "Ti"}
    assert sites.attrs["action"] == "measure lattice"
    assert "1 pm" in run("spacings", "sites.csv", "-o", "spacings.csv")
    assert read_columns("spacings.csv")["length_angstrom"].mean() == pytest.approx(4.0, abs=0.01)
    said = run(*["displacements", "sites.csv", "-o", "p.csv", "--charge", "7", "--volume", "64"])
    assert "displacement" in said
    moved = read_columns("p.csv")
    assert moved["dy_pm"].mean() == pytest.approx(24.0, abs=1.0)
    assert moved["p_y"].mean() == pytest.approx(7 * 0.24 / 64 * 1602.18, rel=0.05)
    run("strain", "columns.csv", "-o", "strain.csv", "--reference", 0, 0, 200, 400)
    assert read_columns("strain.csv")["eps_xx"].median() == pytest.approx(0.0, abs=0.003)


@pytest.mark.slow
def test_zone_axes_are_those_of_the_python_call():
    columns = perovskite()
    said = run("zone", "columns.csv", "-o", "z.csv", "--crystal", "Au", "--crystal", "BaTiO3")
    assert said.startswith("BaTiO3 [0 0 1]\n")
    assert "\n1. BaTiO3 [0 0 1]: score 0." in said
    assert "Ba, TiO" in said
    found = pd.read_csv("z.csv", comment="#")
    expected = find_zone_axis(find_lattice(columns, SAMPLING), ["Au", "BaTiO3"])
    pd.testing.assert_frame_equal(found, expected)
    # The sites of `measure lattice` keep their numbers and their brightness.
    run("lattice", "columns.csv", "-o", "sites.csv")
    assert "Ba, TiO" in run("zone", "sites.csv", "-o", "z.csv", "--crystal", "BaTiO3")
    again = pd.read_csv("z.csv", comment="#")
    assert again["score"].iloc[0] == pytest.approx(found["score"].iloc[0])


@pytest.mark.slow
@pytest.mark.parametrize("axis", [("0", "0", "1"), ("0 0 1",), ("[001]",), ("none",)])
def test_the_zone_axis_of_a_lattice_is_read_as_everywhere(axis):
    perovskite()
    common = ["lattice", "columns.csv", "-o", "named.csv", "--crystal", "BaTiO3"]
    assert "BaTiO3 along [0 0 1]" in run(*common, "--zone-axis", *axis)
    said = run(*common, "--zone-axis", "1", "0", "-1", "0", code=1)
    assert "four indices need hexagonal axes" in said


@pytest.mark.slow
def test_zone_axes_without_a_scale_of_a_wrong_crystal_and_of_none():
    columns = perovskite()
    columns.attrs = {}
    write_columns("pixels.csv", columns)
    said = run("zone", "pixels.csv", "-o", "z.csv", "--crystal", "BaTiO3")
    assert "the sampling is not known" in said
    assert "0.1000 Å/px" in said
    wrong = run("zone", "columns.csv", "-o", "z.csv", "--crystal", "graphene")
    assert "no zone axis fits" in wrong
    assert "not known" in run("zone", "columns.csv", "-o", "n.csv", "--crystal", "Xx", code=1)
    assert not Path("n.csv").exists()


def test_sites_edited_by_hand_stand():
    perovskite()
    run("lattice", "columns.csv", "-o", "sites.csv")
    sites = read_columns("sites.csv")
    taken = sites["sublattice"] == 1
    sites.loc[taken[taken].index[:5], "sublattice"] = -1
    write_columns("edited.csv", sites)
    run("displacements", "sites.csv", "-o", "all.csv")
    run("displacements", "edited.csv", "-o", "fewer.csv")
    assert len(read_columns("fewer.csv")) < len(read_columns("all.csv"))


def test_strain_as_images_that_the_figure_command_reads(folder):
    x = np.arange(160.0)
    image = np.cos(2 * np.pi * x / 8.0) + np.cos(2 * np.pi * x / 8.0)[:, None]
    write_image("image.tif", image.astype(np.float32), SAMPLING)
    run("gpa", "image.tif", "-o", "maps")
    assert np.nanmax(np.abs(read_image("maps/eps_xx.tif").data)) < 1e-3
    assert {p.name for p in (folder / "maps").iterdir()} == {
        "eps_xx.tif",
        "eps_yy.tif",
        "eps_xy.tif",
        "rotation_deg.tif",
    }


@pytest.mark.slow
def test_defects_grains_and_rings():
    points = np.mgrid[:20, :20].reshape(2, -1).T * 20.0 + 3.0
    shift = 10 * EdgeDislocation((19.0, 18.0), (0.0, 2.0))(0.1 * points[:, 0], 0.1 * points[:, 1])
    write_columns("one.csv", pd.DataFrame(points + shift, columns=["y", "x"]))
    said = run("defects", "one.csv", "-o", "defects.csv", "--sampling", SAMPLING)
    assert "1 dislocation\n" in said
    burgers = read_columns("defects.csv").iloc[0]
    assert burgers["burgers_angstrom"] == pytest.approx(2.0, rel=0.03)
    assert "1 grain," in run("grains", "one.csv", "-o", "grains.csv", "--tolerance", 10)
    said = run("rings", "one.csv", "-o", "rings.csv")
    assert "rings of 4" in said
    assert len(read_columns("rings.csv")) > 300


def test_counts_with_a_library_and_a_model(folder):
    count = np.arange(100) % 5 + 1
    columns = pd.DataFrame({"y": 20.0 * (np.arange(100) // 10), "x": 20.0 * (np.arange(100) % 10)})
    columns["volume"] = 200.0 * count + np.random.default_rng(0).normal(0, 20, 100)
    write_columns("columns.csv", columns)
    pd.DataFrame({"count": range(1, 9), "section": 2.0 * np.arange(1, 9)}).to_csv(
        "library.csv", index=False
    )
    common = ["columns.csv", "--sampling", SAMPLING]
    model = ["--library", "library.csv", "--model", "model.xyz"]
    said = run("counts", *common, "-o", "x.csv", *model, code=1)
    assert "--spacing" in said
    said = run("counts", *common, "-o", "x.csv", *model, "--spacing", 4.08, code=1)
    assert "--element" in said
    run("counts", *common, "-o", "a.csv", *model, "--element", "Au", "--spacing", 4.08)
    assert (read_columns("a.csv")["count"] == count).all()
    said = run("counts", *common, "-o", "b.csv")
    assert "300 ±" in said
    assert (read_columns("b.csv")["count"] == count).all()
    from ase.io import read

    assert len(read("model.xyz")) == count.sum()


def test_tracks_with_their_vacancies_and_hops():
    frames = []
    places = np.mgrid[:6, :6].reshape(2, -1).T * 20.0 + 20.0
    for frame in range(6):
        keep = np.ones(36, bool)
        keep[14 if frame < 3 else 15] = False
        frames.append(
            pd.DataFrame(places[keep] + 0.5 * frame, columns=["y", "x"]).assign(frame=frame)
        )
    write_columns("stack.csv", pd.concat(frames, ignore_index=True))
    said = run("tracks", "stack.csv", "-o", "tracks.csv", "--shape", 160, 160)
    assert "35 tracks over 6 frames" in said
    assert len(read_columns("tracks-hops.csv")) == 1
    assert set(read_columns("tracks-vacancies.csv")["kind"]) == {"before", "after"}
    assert read_columns("tracks.csv").attrs["drift"][5] == pytest.approx([2.5, 2.5])
    assert "no columns of frame 9" in run(
        "lattice", "stack.csv", "-o", "x.csv", "--frame", 9, code=1
    )


def test_what_cannot_be_measured_is_said_in_one_line():
    write_columns("two.csv", pd.DataFrame({"y": [1.0, 9.0], "x": [2.0, 3.0]}))
    said = run("lattice", "two.csv", "-o", "out.csv", code=1)
    assert "at least 20 columns" in said
    assert "Traceback" not in said
    perovskite()
    assert "--volume" in run("displacements", "columns.csv", "-o", "o.csv", "--charge", 7, code=1)


@pytest.mark.slow
def test_a_simulated_library_counts_the_integrals_of_an_image():
    """Copper of one to three atoms, imaged as by the library's own cross-sections."""
    pytest.importorskip("abtem")
    from ase.build import bulk

    side, pixel = 3.615, 0.1
    bulk("Cu", "fcc", side, cubic=True).write("copper.cif")
    common = ["--detector", 60, 150, "--phonons", 1, "--largest", 3]
    assert "3 cross-sections" in run("library", "copper.cif", "-o", "library.csv", *common)
    library = pd.read_csv("library.csv")
    assert library["count"].tolist() == [1, 2, 3]
    assert library["section"].is_monotonic_increasing
    i, j = np.mgrid[:7, :7].reshape(2, -1)
    count = 1 + (i + 2 * j) % 3
    step = side / 2 / pixel
    places = pd.DataFrame({"y": 15.0 + step * i, "x": 15.0 + step * j})
    write_columns("columns.csv", places)
    y, x = np.mgrid[:140, :140]
    image = np.zeros((140, 140))
    for k in range(len(places)):
        away = (y - places["y"][k]) ** 2 + (x - places["x"][k]) ** 2
        # In Å², as the library: a pixel of the image is a fraction of the beam.
        light = library["section"][count[k] - 1] / (2 * np.pi * 4.0**2 * pixel**2)
        image += light * np.exp(-0.5 * away / 4.0**2)
    write_image("image.tif", image.astype(np.float32), pixel)
    said = run("integrals", "image.tif", "columns.csv", "-o", "integrals.csv", "--deviation", 1e-4)
    assert "49 integrals" in said
    arguments = ["--library", "library.csv", "--value", "integral", "--width", "common"]
    said = run("counts", "integrals.csv", "-o", "counts.csv", *arguments)
    assert "miscounted" in said
    counted = read_columns("counts.csv")
    assert (counted["count"] == count).all()
    assert counted.attrs["settings"]["value"] == "integral"
    # Pixels forgotten: nothing fits the library, and that is said.
    said = run("counts", "integrals.csv", "-o", "x.csv", *arguments, "--sampling", 10.0, code=1)
    assert "normalized" in said


def test_bounds_alone_and_together():
    columns = pd.DataFrame({"y": [20.0, 20.0], "x": [20.0, 28.0], "amplitude": 50.0})
    write_columns("columns.csv", columns.assign(sigma=3.0, background=10.0))
    assert "median bound" in run("bounds", "columns.csv", "-o", "alone.csv", "--gain", 1.0)
    shape = ["--shape", 40, 48]
    run("bounds", "columns.csv", "-o", "both.csv", "--gain", 1.0, *shape, "--widths", "shared")
    alone, both = read_columns("alone.csv"), read_columns("both.csv")
    assert (both["x_bound"] > alone["x_bound"]).all()
    assert {"y_bound", "volume_bound"} <= set(alone)
    assert "noise" in run("bounds", "columns.csv", "-o", "x.csv", code=1)
