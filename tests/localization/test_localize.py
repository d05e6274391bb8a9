import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.progress import Cancelled, CancelToken

COLUMNS = [
    "y",
    "x",
    "y_err",
    "x_err",
    "sigma",
    "amplitude",
    "background",
    "volume",
    "score",
    "label",
    "volume_err",
    "converged",
    "significance",
    "found_by",
]
TRUST = ["consistency", "signal", "in_range"]
"""What the network's detections have besides."""


@pytest.fixture(scope="module")
def crystal():
    return atomseg.simulate("SrTiO3", shape=(160, 160), sampling=0.15, dose=5e4, seed=5)


@pytest.fixture(scope="module")
def table(crystal):
    return atomseg.localize(crystal.image, sampling=crystal.sampling, device="cpu")


def visible(sim, margin=0.0):
    """Columns in the field that scatter enough to be seen: in SrTiO3 all but the pure oxygen."""
    top = np.array(sim.image.shape) - 1 - margin
    inside = (sim.columns.y >= margin) & (sim.columns.x >= margin)
    inside &= (sim.columns.y <= top[0]) & (sim.columns.x <= top[1])
    return sim.columns[inside & (sim.columns.intensity > 0.2 * sim.columns.intensity.max())]


def test_columns_of_a_crystal_are_found_and_measured(crystal, table):
    result = atomseg.analyze.scores(table, visible(crystal), 3.0)
    assert result.recall > 0.95
    assert result.median < 1.0
    # Some of the faint oxygen is found, too.
    assert atomseg.analyze.scores(table, crystal.columns, 3.0).precision > 0.95
    assert list(table.columns) == [*COLUMNS, *TRUST, "y_angstrom", "x_angstrom"]
    assert table.attrs["model"] == "stem-hr"
    assert table.attrs["contrast"] == "bright"


@pytest.mark.slow
def test_volume_and_angstrom_follow_from_the_fit(crystal, table):
    expected = 2 * np.pi * table.sigma**2 * table.amplitude
    np.testing.assert_allclose(table.volume, expected)
    np.testing.assert_allclose(table.y_angstrom, 0.15 * table.y)
    pair = atomseg.localize(crystal.image, sampling=(0.15, 0.15), refine="none")
    assert pair.y_err.isna().all()
    np.testing.assert_allclose(pair.x_angstrom, 0.15 * pair.x)


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["network", "peaks"])
@pytest.mark.parametrize("refine", ["none", "centroid", "gaussian", "joint"])
def test_every_way_finds_the_same_columns(detector, refine, crystal, table):
    other = atomseg.localize(
        crystal.image, sampling=0.15, refine=refine, detector=detector, device="cpu"
    )
    bright = visible(crystal, 8.0)
    bright = bright[bright.intensity > 0.6 * bright.intensity.max()]
    result = atomseg.analyze.scores(other, bright, 2.5)
    assert result.recall > 0.95


@pytest.mark.slow
def test_labels_of_segment_are_those_of_the_table(crystal, table):
    labels = atomseg.segment(crystal.image, sampling=crystal.sampling, device="cpu")
    assert labels.dtype == np.int32
    assert table.label.is_unique
    assert set(np.unique(labels)) == {0, *table.label}
    detected = atomseg.localize(
        crystal.image, sampling=crystal.sampling, refine="none", device="cpu"
    )
    at = labels[np.rint(detected.y).astype(int), np.rint(detected.x).astype(int)]
    there = (detected.found_by == "network").to_numpy()
    assert np.mean(at[there] == detected.label[there]) > 0.98


@pytest.mark.slow
def test_columns_that_the_raw_image_does_not_show_have_no_label_either():
    faint = atomseg.simulate("SrTiO3", shape=(128, 128), sampling=0.1, dose=500, seed=4)
    columns = atomseg.localize(faint.image, sampling=0.1, device="cpu")
    labels = atomseg.segment(faint.image, sampling=0.1, device="cpu")
    assert set(np.unique(labels)) == {0, *columns.label}
    assert any("without intensity in the raw image" in note for note in columns.attrs["notes"])
    every = atomseg.segment(faint.image, sampling=0.1, sensitivity=0.0, device="cpu")
    assert set(np.unique(every)) > set(np.unique(labels))


@pytest.fixture(scope="module")
def plain():
    """Columns of one kind, all clear: of oxygen, at the limit, rounding decides."""
    return atomseg.simulate("Pt", shape=(128, 128), sampling=0.15, dose=5e4, seed=5)


@pytest.mark.slow
def test_dark_columns_have_negative_amplitudes(plain):
    options = {"sampling": 0.15, "edge": "drop", "device": "cpu"}
    table = atomseg.localize(-plain.image, contrast="dark", **options)
    bright = atomseg.localize(plain.image, contrast="bright", **options)
    assert (table.amplitude.dropna() < 0).all()
    np.testing.assert_allclose(table.y, bright.y, atol=0.02)
    np.testing.assert_allclose(table.background, -bright.background, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_edge_columns_can_be_dropped(crystal, table):
    inner = atomseg.localize(crystal.image, sampling=crystal.sampling, edge="drop", device="cpu")
    assert 0 < len(inner) < len(table)
    assert inner[["y", "x"]].min().min() > 3
    assert set(inner.label) < set(table.label)


@pytest.mark.slow
def test_a_stack_gives_the_frames_of_its_images(crystal):
    stack = np.stack([crystal.image, crystal.image[::-1], np.zeros_like(crystal.image)])
    table = atomseg.localize(stack, sampling=0.15, device="cpu")
    assert next(iter(table.columns)) == "frame"
    # Oxygen is at the limit of what the search adds, all of it or none.
    counts = table[table.found_by == "network"].frame.value_counts()
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    assert 2 not in counts
    assert atomseg.segment(stack, sampling=0.15, device="cpu").shape == stack.shape


def test_units_of_intensity_and_type_do_not_matter(plain):
    scaled = np.round(plain.image / plain.image.max() * 60000).astype(np.uint16)
    floats = atomseg.localize(scaled.astype(np.float64) * 1e-6 - 3.0, sampling=0.15, device="cpu")
    whole = atomseg.localize(scaled, sampling=0.15, device="cpu")
    assert len(whole) == len(floats)
    np.testing.assert_allclose(whole.y, floats.y, atol=0.05)


@pytest.mark.slow
def test_missing_pixels_do_not_hurt(crystal, table):
    image = crystal.image.copy()
    image[60:64, 60:64] = np.nan
    image[10, 100] = np.inf
    holed = atomseg.localize(image, sampling=0.15, device="cpu")
    clear, holed = (each[each.found_by == "network"] for each in (table, holed))
    assert atomseg.analyze.scores(holed, clear, 1.0).f1 > 0.97


@pytest.mark.parametrize("detector", ["network", "peaks"])
@pytest.mark.parametrize(
    "image", [np.zeros((64, 64)), np.full((40, 50), 7), np.full((30, 30), np.nan), np.ones((1, 1))]
)
def test_images_without_columns_give_an_empty_table(image, detector):
    table = atomseg.localize(image, sampling=0.2, detector=detector, device="cpu")
    assert len(table) == 0
    trust = TRUST if detector == "network" else []
    assert list(table.columns) == [*COLUMNS, *trust, "y_angstrom", "x_angstrom"]
    assert atomseg.segment(image, device="cpu").max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"refine": "best"}, "refine"),
        ({"detector": "eye"}, "detector"),
        ({"edge": "cut"}, "edge"),
        ({"contrast": "grey"}, "contrast"),
        ({"sampling": -1.0}, "sampling"),
        ({"sampling": "fine"}, "sampling"),
        ({"image": np.zeros(9)}, "image"),
        ({"image": np.zeros((64, 64, 3))}, "image"),
        ({"image": np.zeros((0, 4))}, "image"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        atomseg.localize(**{"image": np.zeros((32, 32)), **arguments})


@pytest.mark.slow
def test_progress_ends_and_cancelling_leaves_nothing(crystal):
    seen = []
    atomseg.localize(
        crystal.image, device="cpu", progress=lambda done, total, _: seen.append((done, total))
    )
    assert seen[-1][0] == seen[-1][1]
    token = CancelToken()
    token.cancel()
    for detector in ("network", "peaks"):
        with pytest.raises(Cancelled):
            atomseg.localize(crystal.image, detector=detector, cancel=token)


@pytest.mark.slow
def test_species_are_told_by_a_model_that_knows_them():
    image = atomseg.simulate("SrTiO3", shape=(96, 96), sampling=0.25, dose=1e5).image
    table = atomseg.localize(image, "elements-pto-sto", 0.25)
    assert set(table["species"]) <= {"Pb", "Sr", "TiO"}
    assert table["species"].notna().all()
    assert "species" not in atomseg.localize(image, sampling=0.25)
