import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import j1

import napari_atomseg as atomseg
from napari_atomseg.localization import finding
from napari_atomseg.localization.completion.cells import find_cells
from napari_atomseg.localization.completion.columns import Columns
from napari_atomseg.localization.completion.frame import Completion
from napari_atomseg.localization.completion.heights import HeightFilter, LocalNoise
from napari_atomseg.localization.completion.occupancy import occupancy
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.search import search
from napari_atomseg.localization.completion.tails import Tail
from napari_atomseg.localization.detect import Detections
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.overlap import is_overlap_note
from napari_atomseg.localization.settings import FitSettings

SIDE, SPACING, SIGMA = 192, 16.0, 2.6
GAUSSIANS = Refinement(FitSettings(), "cpu")


def bell(r):
    return np.exp(-0.5 * (r / SIGMA) ** 2)


def tailed(r):
    return 0.85 * bell(r) + 0.15 / (1 + (r / (1.3 * SIGMA)) ** 2) ** 1.5


def airy(r):
    v = np.maximum(1.45 * r / SIGMA, 1e-6)
    return (2 * j1(v) / v) ** 2


def lattice(offset=0.0, turn=0.1):
    """Square lattice, places beyond the border included."""
    n = np.arange(-12, 24)
    grid = np.stack(np.meshgrid(n, n, indexing="ij"), axis=-1).reshape(-1, 2) + offset
    c, s = np.cos(turn), np.sin(turn)
    points = SPACING * grid @ np.array([[c, -s], [s, c]])
    return points[((points > -15) & (points < SIDE + 15)).all(axis=1)]


def inside(points, margin=SIGMA):
    return points[((points >= margin) & (points <= SIDE - 1 - margin)).all(axis=1)]


def drawn(points, height, probe=bell, background=0.2):
    """Image of columns of heights 1 and less on a background."""
    image = np.full((SIDE, SIDE), background)
    rows, cols = np.indices(image.shape)
    for (y, x), a in zip(points, np.broadcast_to(height, len(points)), strict=True):
        image += a * probe(np.hypot(rows - y, cols - x))
    return image


def counted(image, electrons, rng):
    """Shot noise; `electrons` in a column of height 1."""
    return rng.poisson(image * electrons / (2 * np.pi * SIGMA**2)).astype(float)


def completed(image, points, rng, sensitivity=0.05, hints=None, beyond=0.0):
    """Search from detections near points, of which some may lie beyond the border."""
    start = inside(points, -beyond)
    start = start + rng.normal(0, 0.3, start.shape)
    y, x = np.clip(start, 0, SIDE - 1).T
    columns = Columns.of(y, x, np.full(len(y), 0.9))

    def fit(columns, former, new):
        return GAUSSIANS(image, columns.y, columns.x)

    return search(image, columns, GAUSSIANS(image, y, x), sensitivity, fit, hints)


def notes_inside(table):
    """Notes but for that on columns at the border."""
    return [note for note in table.attrs["notes"] if "cut by the border" not in note]


def added(found):
    new = found.columns.source != "detector"
    return np.stack([found.columns.y, found.columns.x], axis=1)[new]


def hits(places, truth, reach=3.0):
    return cKDTree(truth).query(places)[0] < reach if len(places) else np.zeros(0, bool)


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "electrons", "recall"), [(0.25, 1000, 0.93), (0.2, 100, 0.5)])
def test_a_faint_sublattice_is_found_at_its_sites(ratio, electrons, recall, rng):
    bright, faint = lattice(), lattice(0.5)
    image = drawn(np.concatenate([bright, faint]), np.repeat([1, ratio], [len(bright), len(faint)]))
    found = completed(counted(image, electrons, rng), bright, rng)
    new = added(found)
    assert hits(new, faint).all()
    assert hits(inside(faint), new).mean() > recall
    assert not found.dropped.any()
    assert any("faint sublattice" in note for note in found.notes)


@pytest.mark.slow
def test_a_sublattice_stops_where_its_phase_does(rng):
    bright, faint = lattice(), lattice(0.5)
    faint = faint[faint[:, 1] < 90]
    image = drawn(np.concatenate([bright, faint]), np.repeat([1, 0.25], [len(bright), len(faint)]))
    right, found = [], []
    for _ in range(3):
        new = added(completed(counted(image, 600, rng), bright, rng))
        right.append(hits(new, faint).mean())
        found.append(hits(inside(faint), new).mean())
    assert np.mean(right) > 0.95
    assert np.mean(found) > 0.9


@pytest.mark.slow
def test_vacant_sites_stay_vacant(rng):
    bright, faint = lattice(), lattice(0.5)
    there = rng.random(len(faint)) > 0.2
    every = np.concatenate([bright, faint[there]])
    image = drawn(every, np.repeat([1, 0.3], [len(bright), there.sum()]))
    new = added(completed(counted(image, 1500, rng), bright, rng))
    assert hits(new, faint[there]).mean() > 0.98
    assert hits(inside(faint[there]), new).mean() > 0.9


def half_found(rng, ratio, electrons, part=0.4, hinted=0.6, probe=bell, strain=0.0):
    """Image, detections and hints of a faint sublattice of which a part was found."""
    bright, faint = lattice(), lattice(0.5)
    every = np.concatenate([bright, faint])
    every[:, 0] *= 1 + strain * every[:, 1]
    bright, faint = every[: len(bright)], every[len(bright) :]
    image = drawn(every, np.repeat([1, ratio], [len(bright), len(faint)]), probe)
    seen = rng.random(len(faint))
    start = np.concatenate([bright, faint[seen < part]])
    hints = faint[(seen > part) & (seen < part + hinted * (1 - part))]
    return counted(image, electrons, rng), start, hints, faint


@pytest.mark.slow
@pytest.mark.parametrize("strain", [0.0, 2e-4])
def test_a_sublattice_found_in_part_is_completed(strain, rng):
    image, start, hints, faint = half_found(rng, 0.12, 5000, strain=strain)
    found = completed(image, start, rng, hints=hints)
    new = added(found)
    assert hits(new, faint).mean() > 0.99
    every = np.stack([found.columns.y, found.columns.x], axis=1)[~found.dropped]
    assert hits(inside(faint, 8.0), every).mean() > 0.9
    # Those that had no hint, too.
    assert hits(new, hints).mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("probe", [bell, airy])
def test_clear_images_are_completed_as_noisy_ones(probe, rng):
    """Steps between columns that are all but equal fill several bins with the same count."""
    image, start, hints, faint = half_found(rng, 0.2, 2e4, probe=probe)
    new = added(completed(image, start, rng, hints=hints))
    assert hits(new, faint).mean() > 0.98
    missing = inside(faint, 8.0)
    assert hits(missing[~hits(missing, start)], new).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1)])
def test_the_oxygen_of_a_perovskite_is_found_in_all_mirror_images(axes):
    """The network finds from an eighth to half of it."""
    made = atomseg.simulate("SrTiO3", shape=(192, 192), sampling=0.2, dose=1e5, seed=1)
    found = atomseg.localize(np.flip(made.image, axes).copy(), sampling=0.2)
    places = found[["y", "x"]].to_numpy(copy=True)
    for axis in axes:
        places[:, axis] = 191 - places[:, axis]
    true = made.columns[["y", "x"]].to_numpy()
    true = true[((true > 10) & (true < 181)).all(axis=1)]
    assert hits(true, places, 1.5).mean() > 0.95


@pytest.mark.slow
def test_a_part_of_a_sublattice_does_not_fill_vacancies(rng):
    bright, faint = lattice(), lattice(0.5)
    there = rng.random(len(faint)) > 0.4
    image = drawn(
        np.concatenate([bright, faint[there]]), np.repeat([1, 0.3], [len(bright), there.sum()])
    )
    members = faint[there][rng.random(there.sum()) < 0.5]
    found = completed(
        counted(image, 1500, rng), np.concatenate([bright, members]), rng, hints=faint
    )
    new = added(found)
    assert len(new) > 15
    assert hits(new, faint[there]).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("probe", [bell, tailed, airy])
def test_empty_sites_of_a_few_false_detections_stay_empty(probe, rng):
    """The detector was wrong at some sites of a sublattice that is not there."""
    bright, vacant = lattice(), lattice(0.5)
    image = counted(drawn(bright, 1.0, probe), 1000, rng)
    chosen = rng.random(len(vacant))
    start = np.concatenate([bright, vacant[chosen < 0.1]])
    found = completed(image, start, rng, hints=vacant[(chosen > 0.1) & (chosen < 0.3)])
    assert len(added(found)) == 0


@pytest.mark.slow
def test_mirrored_images_have_about_the_same_columns(rng):
    """Of sites that are not certain one by one."""
    image, start, hints, faint = half_found(rng, 0.12, 1500, 0.2)
    share = []
    for flip in (1, -1):
        mirrored = [
            places if flip == 1 else places * [1, -1] + [0, SIDE - 1] for places in (start, hints)
        ]
        found = completed(
            image[:, ::flip].copy(), mirrored[0], np.random.default_rng(1), hints=mirrored[1]
        )
        share.append(len(added(found)) / len(inside(faint)))
    assert abs(share[0] - share[1]) < 0.25
    assert min(share) > 0.1


@pytest.mark.parametrize("probe", [tailed, airy])
@pytest.mark.parametrize("electrons", [1e5, 100])
def test_probes_that_are_no_gaussians_make_no_sublattice(probe, electrons, rng):
    image = drawn(lattice(), 1.0, probe)
    found = completed(counted(image, electrons, rng), lattice(), rng)
    assert len(added(found)) == 0
    assert not found.dropped.any()


def test_nothing_is_found_outside_of_a_particle(rng):
    points = lattice()
    points = points[np.hypot(*(points - SIDE / 2).T) < 60]
    found = completed(counted(drawn(points, 1.0, tailed), 300, rng), points, rng)
    assert len(added(found)) == 0


def test_single_columns_are_found_where_the_detector_missed_them(rng):
    points = lattice()
    middle = np.hypot(*(points - SIDE / 2).T)
    missing = np.isin(np.arange(len(points)), np.argsort(middle)[[0, 9, 17]])
    found = completed(counted(drawn(points, 1.0), 300, rng), points[~missing], rng)
    new = added(found)
    assert len(new) == 3
    assert hits(new, points[missing]).all()
    assert (found.columns.score[found.columns.source == "residual"] > 0.95).all()


@pytest.mark.slow
def test_detections_without_light_are_dropped_and_faint_kin_is_kept(rng):
    points = lattice()
    middle = np.argmin(np.hypot(*(points - SIDE / 2).T))
    clear = counted(drawn(np.delete(points, middle, axis=0), 1.0), 300, rng)
    found = completed(clear, points, rng)
    assert found.dropped.sum() == 1
    place = found.columns.y[found.dropped], found.columns.x[found.dropped]
    assert np.hypot(place[0] - points[middle, 0], place[1] - points[middle, 1]) < 2
    faint = completed(counted(drawn(points, 1.0), 5, rng), points, rng)
    assert faint.dropped.mean() < 0.05
    assert 1.0 < np.nanmedian(faint.columns.significance) < 4.0


def highest_near(image, places):
    """The highest pixel near each place, where a detector that sees columns in noise has them."""
    rows, cols = np.rint(places).astype(int).T
    seen = []
    for y, x in zip(rows, cols, strict=True):
        part = image[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        at = np.unravel_index(part.argmax(), part.shape)
        seen.append((max(y - 2, 0) + at[0], max(x - 2, 0) + at[1]))
    return np.array(seen, float)


@pytest.mark.parametrize("seed", range(3))
def test_vacancies_that_a_detector_fills_are_vacant(seed):
    """Where noise is high, a vacancy has light of its own, but not that of a column."""
    rng = np.random.default_rng(seed)
    points = lattice()
    vacant = rng.choice(np.flatnonzero((np.abs(points - SIDE / 2) < 60).all(axis=1)), 10, False)
    there = np.delete(points, vacant, axis=0)
    image = counted(drawn(there, 1.0), 400, rng)
    found = completed(image, np.concatenate([there, highest_near(image, points[vacant])]), rng)
    kept = np.stack([found.columns.y, found.columns.x], axis=1)[~found.dropped]
    assert hits(inside(there), kept).all()
    assert not hits(points[vacant], kept).any()


@pytest.mark.parametrize("seed", range(3))
def test_a_few_detections_of_noise_do_not_prove_each_other(seed):
    rng = np.random.default_rng(seed)
    bright, empty = lattice(), inside(lattice(0.5), 20.0)
    image = counted(drawn(bright, 1.0, background=0.1), 5e3, rng)
    some = rng.choice(len(empty), 6, replace=False)
    found = completed(image, np.concatenate([bright, highest_near(image, empty[some])]), rng)
    there = np.stack([found.columns.y, found.columns.x], axis=1)[~found.dropped]
    assert hits(inside(bright), there).all()
    assert hits(empty[some], there).sum() <= 1


def test_columns_beyond_the_border_do_not_hide_faint_ones_inside(rng):
    """All 23 faint columns 7.5 px from two borders were dropped as without light."""
    bright, between = lattice(0.02, 0.0), lattice(0.52, 0.0)
    points = np.concatenate([bright, between])
    height = np.repeat([1.0, 0.15], [len(bright), len(between)])
    image = rng.poisson(300 * drawn(points, height)).astype(float)
    found = completed(image, points, rng, beyond=1.5)
    assert not found.dropped.any()
    near = np.abs(found.columns.places - 183.5).min(axis=1) < 1.5
    assert near.sum() >= 22
    assert np.nanmin(found.columns.significance[near]) > 3


def test_a_second_detection_on_a_column_is_dropped(rng):
    points = inside(lattice(), 8.0)
    image = counted(drawn(points, 1.0), 300, rng)
    middle = points[np.argsort(np.hypot(*(points - SIDE / 2).T))[:3]]
    y, x = np.concatenate([points, middle + np.array([0.0, 2.0])]).T
    score = np.repeat([0.9, 0.7], [len(points), len(middle)])
    labels = np.zeros(image.shape, np.int32)
    found = Detections(y, x, score, labels, np.ones(len(y)))
    made = Completion(FitSettings(), "cpu", 0.05, "network", 0.5)(image, found, score)
    assert made.detections.tolist() == [True] * len(points) + [False] * len(middle)
    assert made.label.tolist() == list(range(1, len(points) + 1))
    # With the second one out of the way the column has its place and error.
    assert made.fits.converged.all()
    away = np.hypot(made.fits.y - points[:, 0], made.fits.x - points[:, 1])
    assert away.max() < 5 * np.median(made.fits.y_err)
    assert made.notes == ["3 detections on a column that was detected already were dropped"]


def test_a_sublattice_that_is_not_there_is_dropped_where_noise_is_high_too(rng):
    bright, empty = lattice(), inside(lattice(0.5))
    image = counted(drawn(bright, 1.0, background=0.1), 5e3, rng)
    found = completed(image, np.concatenate([bright, highest_near(image, empty)]), rng)
    there = np.stack([found.columns.y, found.columns.x], axis=1)[~found.dropped]
    assert hits(inside(bright), there).mean() > 0.99
    assert hits(inside(empty, 20.0), there).mean() < 0.05


@pytest.mark.slow
def test_a_faint_sublattice_of_the_detector_is_kept_beside_a_bright_one(rng):
    """Hardly a fit succeeds, but the columns of the sublattice are there on average."""
    bright, faint = lattice(), lattice(0.5)
    every = np.concatenate([bright, faint])
    image = drawn(every, np.repeat([1, 0.07], [len(bright), len(faint)]))
    found = completed(counted(image, 300, rng), every, rng, hints=np.zeros((0, 2)))
    assert found.dropped.mean() < 0.05


def test_noise_has_no_columns_and_invented_ones_have_no_significance(rng):
    found = completed(rng.normal(10, 1, (SIDE, SIDE)), lattice(), rng)
    assert len(added(found)) == 0
    # Hardly a fit succeeds: there is nothing to measure heights by.
    assert found.dropped.mean() > 0.5 or np.isnan(found.columns.significance).all()


def test_no_search_without_sensitivity(rng):
    bright, faint = lattice(), lattice(0.5)
    image = drawn(np.concatenate([bright, faint]), np.repeat([1, 0.3], [len(bright), len(faint)]))
    found = completed(counted(image, 1000, rng), bright, rng, sensitivity=0.0)
    assert len(added(found)) == 0
    assert not found.dropped.any()
    assert np.nanmedian(found.columns.significance) > 10


def test_heights_are_those_of_least_squares(rng):
    rows, cols = np.indices((41, 45))
    image = 3.0 * bell(np.hypot(rows - 20, cols - 22)) + 7.0 + 0.3 * rows - 0.2 * cols
    measured = rng.random(image.shape) > 0.1
    assert HeightFilter(np.ones(image.shape, bool), SIGMA)(image)[20, 22] == pytest.approx(3.0)
    flat = image - 0.3 * rows + 0.2 * cols
    measured[20, 22] = True
    holed = HeightFilter(measured, SIGMA)(np.where(measured, flat, np.nan))
    assert holed[20, 22] == pytest.approx(3.0)
    assert np.isnan(holed[~measured]).all()
    wide = np.exp(-0.5 * ((rows - 20) ** 2 + (cols - 22) ** 2) / 9.0)
    whole = HeightFilter(np.ones(image.shape, bool), SIGMA)
    assert whole(wide)[20, 22] == pytest.approx(whole.response(np.array([3.0]))[0])


def test_the_local_noise_is_that_of_each_part(rng):
    heights = rng.normal(0, 1, (240, 240))
    heights[:, 120:] *= 5
    noise = LocalNoise(heights, np.ones(heights.shape, bool), 10.0, 1.0)
    quiet, loud = noise.at(np.array([120.0, 120.0]), np.array([20.0, 220.0]))
    assert quiet == pytest.approx(1.0, rel=0.1)
    assert loud == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_a_tail_is_low_where_all_columns_lie_alike_on_the_pixels(phase):
    """Some distances from the columns have no pixels then: anything would fit there."""
    places = np.arange(8.0, 96.0, 16.0) + phase
    y, x = (v.ravel() for v in np.meshgrid(places, places, indexing="ij"))
    axis = np.arange(96)
    line = np.exp(-0.5 * ((axis[:, None] - places) / 2.0) ** 2).sum(axis=1)
    fits = GAUSSIANS(np.outer(line, line), y, x)
    left = Residual(np.outer(line, line), fits, np.ones(len(y), dtype=bool))
    assert np.abs(left.tail.values).max() < 0.01
    assert left.significance().min() > 1000


def test_tails_are_drawn_about_their_columns():
    tail = Tail(np.array([0.0, 4.0, 8.0]), np.array([0.1, 0.05, 0.0]))
    light = tail.light((40, 50), np.array([20.0]), np.array([30.0]), np.array([2.0]))
    assert light[20, 30] == pytest.approx(0.2)
    assert light[20, 34] == pytest.approx(0.1)
    assert light[24, 30] == pytest.approx(0.1)
    assert abs(light[20, 45]) < 1e-12


def test_cells_follow_strain_and_grains(rng):
    left, right = lattice(turn=0.1), lattice(turn=0.6)
    left[:, 0] *= 1 + 2e-4 * left[:, 1]
    points = np.concatenate([left[left[:, 1] < 90], right[right[:, 1] > 100]])
    cells = find_cells(points, np.ones(len(points)))
    area = [abs(np.linalg.det(each.vectors)) for each in cells]
    np.testing.assert_allclose(area, SPACING**2, rtol=0.05)
    assert sum(len(each.index) for each in cells) > 0.8 * len(points)
    assert find_cells(points[:5], np.ones(5)) == []
    scattered = rng.uniform(0, SIDE, (150, 2))
    assert sum(len(each.index) for each in find_cells(scattered, np.ones(150))) < 40


def test_the_share_of_occupied_sites_is_learned_where_they_are(rng):
    places = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    there = (places[:, 0] < 10) & (rng.random(400) < 0.8)
    noise = np.full(400, 0.4)
    made = occupancy(places, there + rng.normal(0, noise), noise, np.nan)
    assert made.mean == pytest.approx(1.0, abs=0.15)
    assert made.share[places[:, 0] < 7].mean() == pytest.approx(0.8, abs=0.12)
    assert made.share[places[:, 0] > 12].mean() < 0.2
    nothing = occupancy(places, rng.normal(0, noise), noise, np.nan)
    assert nothing.gain < np.log(401)


@pytest.mark.slow
@pytest.mark.parametrize("refine", ["gaussian", "none", "joint"])
def test_localize_adds_the_sublattice_however_it_measures(refine, rng, monkeypatch):
    """Where the detector has seen something there; peaks see nothing but their columns."""
    bright, faint = lattice(), lattice(0.5)
    every = np.concatenate([bright, faint])
    heights = np.repeat([1, 0.12], [len(bright), len(faint)])
    image = counted(drawn(every, heights), 2e4, rng)
    stack = -np.stack([image, image[::-1]])
    region = np.zeros(image.shape, bool)
    region[:, :96] = True
    seen = (faint, faint * [-1, 1] + [SIDE - 1, 0])
    monkeypatch.setattr(finding.Finder, "hints", lambda self, number, found: seen[number])
    table = atomseg.localize(
        stack, detector="peaks", contrast="dark", refine=refine, region=region, device="cpu"
    )
    new = table[table.found_by == "sublattice"]
    assert set(table.found_by) == {"peaks", "sublattice"}
    assert (table.x < 96.5).all()
    for frame, truth in enumerate(seen):
        own = new[new.frame == frame]
        places = own[["y", "x"]].to_numpy()
        assert hits(places, truth).all()
        expected = inside(truth, 8.0)
        assert hits(expected[expected[:, 1] < 88], places).mean() > 0.9
        assert table.label[table.frame == frame].is_unique
    assert len([note for note in notes_inside(table) if not is_overlap_note(note)]) == 2
    if refine != "none":
        assert np.nanmedian(new.amplitude) < 0
        ratio = np.nanmedian(new.amplitude) / np.nanmedian(
            table.amplitude[table.found_by == "peaks"]
        )
        assert ratio == pytest.approx(0.12, abs=0.03)
    off = atomseg.localize(stack, detector="peaks", contrast="dark", sensitivity=0, device="cpu")
    assert set(off.found_by) == {"peaks"}
    assert notes_inside(off) == []
    monkeypatch.undo()
    alone = atomseg.localize(stack, detector="peaks", contrast="dark", device="cpu")
    assert set(alone.found_by) == {"peaks"}
