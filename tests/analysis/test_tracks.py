import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import link_tracks
from napari_atomseg.measurements import measure

SPACING = 20.0
NOISE = 0.5


def movie(frames=12, side=8, drift=(0.8, -1.3), noise=NOISE, seed=0):
    """Positions (F, S, 2) of a square lattice that drifts, with where its sites stand at first."""
    rng = np.random.default_rng(seed)
    sites = SPACING * (1 + np.argwhere(np.ones((side, side))).astype(float))
    path = np.arange(frames)[:, None] * np.array(drift) + rng.normal(0, 0.5, (frames, 2))
    path -= path[0]
    places = sites + path[:, None] + rng.normal(0, noise, (frames, len(sites), 2))
    return places, sites, path


def table_of(places, keep, rng=None):
    """The kept columns of each frame in a table, in any order."""
    frame, site = np.nonzero(keep)
    table = pd.DataFrame({"frame": frame, "true": site})
    table[["y", "x"]] = places[frame, site]
    if rng is not None:
        order = rng.permutation(len(table))
        table = table.iloc[order].reset_index(drop=True)
    return table


def test_drift_is_found_within_its_stated_error_and_removed():
    places, sites, path = movie(frames=16, drift=(2.9, -3.7))
    keep = np.ones(places.shape[:2], bool)
    tracks = link_tracks(table_of(places, keep, np.random.default_rng(1)))
    # The first frame's own noise is that of the place everything is measured from.
    own = np.median(places[0] - sites, axis=0)
    z = (tracks.drift - path + own)[1:] / np.hypot(tracks.drift_err[1:], NOISE / 10)
    assert np.sqrt((z**2).mean()) < 1.5
    assert np.abs(tracks.drift - path).max() < 0.5
    assert len(tracks.sites) == len(sites)
    assert np.all(tracks.columns.groupby("true")["track"].nunique() == 1)
    assert np.median(tracks.sites["y_rms"]) == pytest.approx(NOISE, rel=0.15)
    assert tracks.vacancies.empty
    assert tracks.hops.empty


def test_drift_against_the_first_frame_has_its_error_in_every_frame():
    z = []
    for seed in range(20):
        places, _, path = movie(frames=10, seed=seed)
        tracks = link_tracks(table_of(places, np.ones(places.shape[:2], bool)))
        z.append((tracks.drift - path)[1:] / tracks.drift_err[1:])
    scatter = np.sqrt(np.mean(np.square(z), axis=(0, 2)))
    assert scatter[0] == pytest.approx(1.0, abs=0.3)
    assert scatter[1:].mean() == pytest.approx(1.05, abs=0.2)


def test_a_drift_beyond_the_view_leaves_no_vacancies_behind():
    places, _, _ = movie(frames=20, drift=(4.0, 0.0))
    inside = np.all((places > 0) & (places < 179), axis=2)
    table = table_of(places, inside)
    tracks = link_tracks(table, shape=(180, 180))
    edge = tracks.vacancies.merge(tracks.sites[["site", "seen"]], on="site")
    # Noise may carry a column over the border for a frame, while its site is in view.
    assert (edge["frames"] <= 1).all()
    assert tracks.columns.groupby("site")["true"].nunique().eq(1).all()


def test_vacancies_have_their_frames_and_their_kinds():
    places, sites, _ = movie()
    keep = np.ones(places.shape[:2], bool)
    keep[3:7, 27], keep[9:, 36], keep[:2, 20] = False, False, False
    tracks = link_tracks(table_of(places, keep), sampling=0.2)
    found = {
        (row.kind, row.first, row.last): (row.y, row.x) for row in tracks.vacancies.itertuples()
    }
    assert set(found) == {("between", 3, 6), ("after", 9, 11), ("before", 0, 1)}
    for key, site in ((("between", 3, 6), 27), (("after", 9, 11), 36), (("before", 0, 1), 20)):
        assert found[key] == pytest.approx(tuple(sites[site]), abs=4 * NOISE / np.sqrt(8))
    first = tracks.vacancies.iloc[0]
    assert first["y_angstrom"] == pytest.approx(0.2 * first["y"])
    assert tracks.hops.empty


def test_a_column_overlooked_is_a_vacancy_only_without_patience():
    places, _, _ = movie()
    keep = np.ones(places.shape[:2], bool)
    keep[5, 11], keep[4:7, 40] = False, False
    table = table_of(places, keep)
    assert len(link_tracks(table).vacancies) == 2
    patient = link_tracks(table, patience=1)
    assert list(patient.vacancies["frames"]) == [3]
    assert patient.columns["track"].nunique() == places.shape[1]


def test_a_hop_carries_the_track_and_leaves_a_vacancy():
    places, sites, _ = movie()
    keep = np.ones(places.shape[:2], bool)
    # The column at 27 hops into the vacancy at 28, that at 26 into what it left.
    keep[:4, 28] = False
    keep[4:8, 27] = False
    keep[8:, 26] = False
    tracks = link_tracks(table_of(places, keep, np.random.default_rng(3)), sampling=(0.1, 0.1))
    hops = tracks.hops
    assert list(hops["frame"]) == [3, 7]
    assert list(hops["arrival"]) == [4, 8]
    assert hops["distance"].to_numpy() == pytest.approx(SPACING, abs=1.0)
    assert hops["distance_angstrom"].to_numpy() == pytest.approx(2.0, abs=0.1)
    assert hops[["from_y", "from_x"]].to_numpy() == pytest.approx(sites[[27, 26]], abs=1.0)
    assert hops[["to_y", "to_x"]].to_numpy() == pytest.approx(sites[[28, 27]], abs=1.0)
    track = {
        (frame, true): number
        for frame, true, number in tracks.columns[["frame", "true", "track"]].to_numpy()
    }
    assert track[0, 27] == track[3, 27] == track[4, 28] == track[11, 28]
    assert track[0, 26] == track[7, 26] == track[8, 27] == track[11, 27]
    assert track[0, 27] != track[0, 26]
    assert len(set(track.values())) == 63
    vacant = {(row.kind, row.first, row.last) for row in tracks.vacancies.itertuples()}
    assert vacant == {("before", 0, 3), ("between", 4, 7), ("after", 8, 11)}


def test_a_column_off_all_sites_hops_to_a_site_of_its_own():
    places, sites, path = movie(noise=0.2)
    keep = np.ones(places.shape[:2], bool)
    keep[6:, 18] = False
    table = table_of(places, keep)
    interstitial = sites[18] + SPACING / 2 + path[6:]
    more = pd.DataFrame({"frame": np.arange(6, 12), "true": 99})
    more[["y", "x"]] = interstitial
    tracks = link_tracks(pd.concat([table, more], ignore_index=True))
    assert len(tracks.hops) == 1
    assert tracks.hops["distance"][0] == pytest.approx(SPACING / np.sqrt(2), abs=0.6)
    moved = tracks.columns[tracks.columns["true"] == 99]["track"].unique()
    assert list(moved) == list(tracks.columns[tracks.columns["true"] == 18]["track"].unique())


def test_no_columns_one_column_and_an_empty_frame():
    nothing = link_tracks(pd.DataFrame({"frame": [], "y": [], "x": []}))
    assert len(nothing.columns) == len(nothing.sites) == len(nothing.hops) == 0
    one = link_tracks(pd.DataFrame({"frame": [0, 2], "y": [5.0, 5.1], "x": [3.0, 3.0]}), reach=1.0)
    assert list(one.columns["site"]) == [0, 0]
    assert list(one.vacancies["first"]) == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": pd.DataFrame({"y": [1.0], "x": [1.0]})}, "frame"),
        ({"columns": pd.DataFrame({"frame": [0], "y": [np.nan], "x": [1.0]})}, "finite"),
        ({"reach": 0.0}, "reach"),
        ({"hop": -1.0}, "hop"),
        ({"patience": -1}, "patience"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"columns": pd.DataFrame({"frame": [0], "y": [1.0], "x": [1.0]})}
    with pytest.raises(ValueError, match=message):
        link_tracks(**{**good, **change})


@pytest.mark.parametrize("number", [-1, 2**40])
def test_numbers_that_are_none_of_frames_are_refused(number):
    columns = pd.DataFrame({"frame": [0, 1, number], "y": 5.0, "x": 5.0})
    with pytest.raises(ValueError, match=f"frame={number} "):
        link_tracks(columns)


@pytest.mark.parametrize("frames", [2, 3, 12])
def test_columns_stray_as_much_however_few_frames_there_are(frames):
    rng = np.random.default_rng(3)
    y, x = (each.ravel() for each in np.mgrid[10:200:12.0, 10:200:12.0])
    stack = pd.concat(
        pd.DataFrame(
            {
                "frame": number,
                "y": y + rng.normal(0, 0.2, len(y)),
                "x": x + rng.normal(0, 0.2, len(x)),
                "y_err": 0.2,
                "x_err": 0.2,
            }
        )
        for number in range(frames)
    ).reset_index(drop=True)
    tracks = link_tracks(stack)
    rms = tracks.sites[["y_rms", "x_rms"]].to_numpy()
    assert np.sqrt(np.mean(rms**2)) == pytest.approx(0.2, rel=0.1)
    said = next(line for line in measure("tracks", stack).lines if line.startswith("rms"))
    assert "by the error bars 0.2 px; nothing else" in said
