import numpy as np
import pandas as pd
import pytest

from napari_atomseg.localization import localize, refine_columns
from napari_atomseg.localization.fit.centroids import saturated
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.regions import region_labels, regions_at
from napari_atomseg.localization.settings import FitSettings

PEAKS = {"detector": "peaks", "device": "cpu", "contrast": "bright"}


@pytest.fixture
def lattice(scene, rng):
    known = scene(6, 16, 3.0, 400.0, 50.0)
    return known, known.counted(rng)


def test_a_region_of_interest_keeps_its_columns_and_their_neighbours_light(lattice):
    _, image = lattice
    whole = localize(image, **PEAKS)
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :48] = True
    part = localize(image, region=mask, **PEAKS)
    inside = whole[whole.x < 47.5].reset_index(drop=True)
    assert list(part.label) == list(inside.label)
    assert set(part.region) == {1}
    # Weights and widths are learnt from fewer columns; the light is the same.
    z = (part.y - inside.y) / inside.y_err
    assert np.sqrt(np.mean(z**2)) < 0.3


def test_labels_and_polygons_number_their_columns(lattice):
    _, image = lattice
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[:48, :48], labels[48:, 48:] = 3, 7
    found = localize(image, region=labels, refine="none", **PEAKS)
    assert found.region.value_counts().to_dict() == {3: 9, 7: 9}
    corner = [(-1, -1), (-1, 47.5), (47.5, 47.5), (47.5, -1)]
    drawn = localize(image, region=[corner], refine="none", **PEAKS)
    assert len(drawn) == 9
    assert np.all(drawn[["y", "x"]] < 48)


@pytest.mark.parametrize(
    "region", [np.ones((5, 5), bool), np.ones((20, 30)), [[(0, 0), (1, 1)]], [np.zeros(4)]]
)
def test_regions_that_are_none_are_refused(region):
    with pytest.raises(ValueError, match="region"):
        region_labels(region, (20, 30))


def test_columns_beyond_the_border_are_in_the_region_of_the_nearest_pixel():
    labels = region_labels(np.arange(12).reshape(3, 4), (3, 4))
    at = regions_at(labels, np.array([-0.7, 2.6]), np.array([0.2, 3.9]))
    assert at.tolist() == [0, 11]


@pytest.mark.parametrize("refine", ["gaussian", "joint"])
def test_only_the_columns_that_were_edited_are_measured_again(lattice, refine):
    _, image = lattice
    table = localize(image, refine=refine, **PEAKS)
    edited = table.copy()
    edited.loc[14, ["y", "x"]] += 1.2
    again = refine_columns(image, edited, only=[14], device="cpu")
    others = np.arange(len(table)) != 14
    pd.testing.assert_frame_equal(again[others], table[others])
    assert again.y[14] == pytest.approx(table.y[14], abs=0.5 * table.y_err[14])
    error = np.hypot(table.volume_err[14], again.volume_err[14])
    assert again.volume[14] == pytest.approx(table.volume[14], abs=error)


@pytest.mark.slow
def test_a_width_that_all_columns_share_stays_theirs(lattice):
    """The few columns measured anew would find another width from their few pixels."""
    _, image = lattice
    table = localize(image, refine="joint", **PEAKS)
    assert table.sigma.nunique() == 1
    edited = table.copy()
    edited.loc[[14, 21], ["y", "x"]] += 1.2
    edited.loc[[14, 21], ["sigma", "y_err", "x_err", "amplitude", "volume"]] = np.nan
    rows = [14, 21]
    again = refine_columns(image, edited, only=rows, device="cpu")
    np.testing.assert_allclose(again.sigma, table.sigma[0], rtol=1e-12)
    for name in ("y", "x"):
        np.testing.assert_allclose(again[name][rows], table[name][rows], atol=5e-3)
        np.testing.assert_allclose(again[f"{name}_err"][rows], table[f"{name}_err"][rows], rtol=0.1)
    np.testing.assert_allclose(
        again.volume, 2 * np.pi * again.sigma**2 * again.amplitude, rtol=1e-9
    )
    np.testing.assert_allclose(again.volume[rows], table.volume[rows], rtol=0.02)
    # One more column is the others' kin, all of them find a width anew, free ones have their own.
    more = pd.concat([table.drop(index=14), table.loc[[14], ["y", "x"]]], ignore_index=True)
    more.attrs = table.attrs
    assert refine_columns(image, more, only=[35], device="cpu").sigma.nunique() == 1
    anew = refine_columns(image, table.assign(sigma=1.0), device="cpu")
    np.testing.assert_allclose(anew.sigma, table.sigma[0], rtol=1e-3)
    free = refine_columns(image, edited, only=rows, widths="free", device="cpu")
    assert free.sigma[rows].nunique() == 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_background_that_all_columns_share_stays_theirs(lattice, sign):
    _, image = lattice
    made = PEAKS | {"contrast": "bright" if sign > 0 else "dark"}
    table = localize(sign * image, refine="joint", backgrounds="shared", **made)
    assert table.background.nunique() == table.sigma.nunique() == 1
    edited = table.copy()
    edited.loc[14, ["y", "x"]] += 1.2
    edited.loc[14, ["sigma", "background", "amplitude", "volume"]] = np.nan
    again = refine_columns(sign * image, edited, only=[14], device="cpu")
    for name in ("sigma", "background"):
        np.testing.assert_allclose(again[name], table[name][0], rtol=1e-12)
    assert again.y[14] == pytest.approx(table.y[14], abs=5e-3)
    assert again.volume[14] == pytest.approx(table.volume[14], rel=0.01)
    # Backgrounds of its own, where it is asked for them.
    local = refine_columns(sign * image, edited, only=[14], backgrounds="local", device="cpu")
    assert local.background.nunique() == 2
    assert local.sigma.nunique() == 1


@pytest.mark.slow
def test_each_frame_keeps_its_own_shared_width(scene, rng):
    narrow, wide = scene(6, 16, 2.6, 400.0, 50.0), scene(6, 16, 3.4, 400.0, 50.0)
    stack = np.stack([narrow.counted(rng), wide.counted(rng)])
    table = localize(stack, refine="joint", **PEAKS)
    assert table.groupby("frame").sigma.nunique().tolist() == [1, 1]
    rows = [10, len(table) - 10]
    edited = table.copy()
    edited.loc[rows, "sigma"] = np.nan
    again = refine_columns(stack, edited, only=rows, device="cpu")
    np.testing.assert_allclose(again.sigma, table.sigma, rtol=1e-12)
    assert again.sigma[rows[1]] - again.sigma[rows[0]] == pytest.approx(0.8, abs=0.1)


def test_places_of_another_program_are_measured_in_full(lattice, rng):
    known, image = lattice
    y, x = known.near(rng)
    bare = pd.DataFrame({"y": y, "x": x, "kind": "A"})
    table = refine_columns(image, bare, refine="gaussian", device="cpu")
    assert list(bare.columns) == ["y", "x", "kind"]
    assert table.kind.tolist() == ["A"] * 36
    assert table.converged.all()
    z = (table.y - known.y) / table.y_err
    assert np.sqrt(np.mean(z**2)) < 1.6
    none = refine_columns(image, bare, only=np.zeros(36, bool), device="cpu")
    pd.testing.assert_frame_equal(none[["y", "x", "kind"]], bare)


def test_each_frame_of_a_stack_is_measured_on_its_own(lattice, rng):
    known, image = lattice
    shifted = np.roll(image, 1, axis=0)
    y, x = known.near(rng)
    bare = pd.DataFrame({"frame": np.repeat([0, 1], 36), "y": np.tile(y, 2), "x": np.tile(x, 2)})
    table = refine_columns(np.stack([image, shifted]), bare, device="cpu")
    inner = table.y[:36].between(10, 80).to_numpy()
    moved = table.y[36:].to_numpy() - table.y[:36].to_numpy()
    np.testing.assert_allclose(moved[inner], 1.0, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": [99]}, "only"),
        ({"only": np.ones(3, bool)}, "only"),
        ({"refine": "best"}, "refine"),
        ({"widths": "some"}, "widths"),
        ({"likelihood": "cauchy"}, "likelihood"),
        ({"contrast": "auto"}, "contrast"),
        ({"columns": pd.DataFrame({"y": [1.0]})}, "x"),
        ({"columns": pd.DataFrame({"y": [1.0], "x": [np.nan]})}, "finite"),
        ({"columns": pd.DataFrame({"y": [1.0], "x": [1.0], "frame": [2]})}, "frames"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    table = pd.DataFrame({"y": [10.0, 20.0], "x": [10.0, 20.0]})
    with pytest.raises(ValueError, match=message):
        refine_columns(np.zeros((32, 32)), **{"columns": table, "device": "cpu", **arguments})


@pytest.mark.parametrize("refine", ["centroid", "centre_of_mass", "gaussian", "rotated", "joint"])
def test_columns_that_cannot_be_measured_do_the_others_no_harm(lattice, refine):
    known, image = lattice
    # Beyond the border (axes swapped, or dragged out), twice at one place, and hardly beside one.
    y = np.append(known.y, [-40.0, 30.0, known.y[7], known.y[14] + 0.3])
    x = np.append(known.x, [20.0, 300.0, known.x[7], known.x[14]])
    table = refine_columns(image, pd.DataFrame({"y": y, "x": x}), refine=refine, device="cpu")
    np.testing.assert_array_equal(table[["y", "x"]][36:], np.stack([y, x], axis=1)[36:])
    assert not table.converged[36:].any()
    assert table.converged[:36].all()
    places = pd.DataFrame({"y": known.y, "x": known.x})
    alone = refine_columns(image, places, refine=refine, device="cpu")
    np.testing.assert_allclose(table.y[:36], alone.y)
    one = refine_columns(image, table, only=[36], refine=refine, device="cpu")
    pd.testing.assert_frame_equal(one, table)


def test_an_empty_table_stays_empty():
    table = refine_columns(np.zeros((32, 32)), pd.DataFrame({"y": [], "x": []}), device="cpu")
    assert len(table) == 0


def test_plateaus_at_the_top_are_saturated_and_single_maxima_are_not(lattice):
    _, image = lattice
    assert not saturated(image).any()
    clipped = np.minimum(image, 420.0)
    np.testing.assert_array_equal(saturated(clipped), clipped == 420.0)
    assert not saturated((image > 200).astype(float)).any()
    assert not saturated(np.full((20, 20), np.nan)).any()


def test_clipped_columns_keep_their_place_and_volume(lattice, rng):
    known, image = lattice
    start = known.near(rng)
    fits = Refinement(FitSettings(refine="gaussian"), device="cpu")(
        np.minimum(image, 400.0), *start
    )
    z = np.stack([(fits.y - known.y) / fits.y_err, (fits.x - known.x) / fits.x_err])
    assert np.sqrt(np.nanmean(z**2)) < 1.5
    volume = 2 * np.pi * 9.0 * 400.0
    assert np.nanmedian(fits.volume) == pytest.approx(volume, rel=0.1)
