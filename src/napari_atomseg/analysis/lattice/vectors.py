"""Translations of a lattice, from the vectors between columns, and the cells that they span."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, product

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, QhullError, cKDTree
from skimage.feature import peak_local_max

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array, Mask

MOST_BINS = 1000
"""Bins from the middle to the edge of the histogram of vectors to neighbours."""
NEIGHBOURS = 90
"""Vectors are taken to so many neighbours of a column: some five spacings far."""
PATCHES = (400, 120)
"""Columns of a patch: enough for the middle ones to have all their neighbours; small ones fit into
grains."""
SMALL = 45
"""Columns of patches that fit into grains of an image with few columns..."""
EXPLAINED = 0.7
"""...which are looked at unless this share of the columns has the vectors of larger ones."""
CENTRES = np.array([[0.5, 0.5], [0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
"""Where patches are, in parts of the image."""
BETTER = 1.05
"""Vectors of a later patch are taken where they are better by this factor: more columns have both,
beyond chance, and their cell is smaller (by its root, so that no part of a cell passes for it)."""
CHANCE = 0.005
"""Score of any two vectors."""
SHARP = 0.3
"""Width of the score of vectors, over the reach; so those between two grains score low."""
SAMPLE = 2000
"""Columns from which the share that a translation holds for is estimated."""
REACH = 0.28
"""A column stands one vector from another if within this part of the nearest distance of there."""
SHARED = 0.8
"""A translation brings this part of what the best one brings of the columns onto columns."""
CELLS_AT_ONCE = (1, 2, 4)
"""Vectors of a patch are made right by steps over so many cells..."""
HELD = 0.5
"""...as long as this share of the columns has such a step; a quarter has one by chance."""
RARE = 0.1
"""Vectors that fewer than this share of the columns have are not looked at."""
SAME_LENGTH = 0.03
"""Lengths that differ by less than this part are called equal, where cells are named."""
SAME_ANGLE = 2.0
"""Angles that differ by less (°) are called equal."""

SAME_SQUARE = 1e-9
"""Squares of lengths that differ by less than this part are equal."""

NO_LATTICE = "the columns show no lattice: no translation brings most of them onto columns"


def primitive_vectors(points: Array) -> tuple[Array, Mask]:
    """The shortest two translations of a crystal, and which points they hold for.

    They are sought in a few patches of the image; those that hold for most columns are taken, so
    that of several grains one is found, and a large one.

    Parameters
    ----------
    points : (N, 2), N at least 4, in units that are the same in both directions.

    Returns
    -------
    vectors (2, 2), and `among` (N,): whether a point has a neighbour one vector away, either way,
    for both vectors.

    Raises
    ------
    ValueError
        The points show no lattice.
    """
    tree, rng = cKDTree(points), np.random.default_rng(0)
    some = points[rng.choice(len(points), min(len(points), SAMPLE), replace=False)]
    best, highest, failure = np.zeros((2, 2)), 0.0, ValueError(NO_LATTICE)
    explained = 0.0
    for patch in chain(_patches(points, tree, PATCHES), _patches(points, tree, (SMALL,))):
        if len(patch) <= SMALL and explained > EXPLAINED:
            break
        try:
            vectors = _patch_vectors(patch)
        except ValueError as error:
            failure = error
            continue
        reach = REACH * median_spacing(patch)
        away = np.array([tree.query(some + vector)[0] for vector in vectors])
        held = np.exp(-0.5 * (away**2).sum(axis=0) / (SHARP * reach) ** 2).mean()
        score = max(0.0, float(held) - CHANCE) / np.sqrt(abs(np.linalg.det(vectors)))
        if score > BETTER * highest:
            best, highest, explained = vectors, score, float(held)
    if highest == 0.0:
        raise failure
    reach = REACH * median_spacing(points)
    best = _straightened(tree, points, best, reach)
    return best, _paired(tree, points, best, reach)


def _patches(points: Array, tree: cKDTree, sizes: tuple[int, ...]) -> Iterator[Array]:
    """Columns about the middle of the image and of its quarters, for one size after another."""
    low, high = np.quantile(points, [0.02, 0.98], axis=0)
    centres = low + (high - low) * CENTRES
    for size in sizes:
        if len(points) <= size:
            yield points
        else:
            near = np.asarray(tree.query(centres, k=size)[1])
            yield from (points[np.sort(index)] for index in near)


def _patch_vectors(points: Array) -> Array:
    """Shortest two translations of the points of one patch.

    The vectors from columns to their neighbours pile up at the translations of the lattice, which
    all columns share, and at the vectors between sublattices, which only some do. Of the vectors
    where they pile up, translations are those that bring most columns that have room for it onto
    columns. The second is chosen among columns that have the first.
    """
    reach = REACH * median_spacing(points)
    if not reach > 0:
        raise ValueError("columns stand on each other: half of them have another at the same place")
    tree = cKDTree(points)
    candidates = _common_vectors(points, tree, reach)
    there, room = _brought(points, tree, candidates, reach)
    length = np.hypot(*candidates.T)
    first = _shortest(there, room, length)
    paired = there[:, first] | _has(tree, points - candidates[first], reach)
    one = candidates[first]
    sine = np.abs(one[0] * candidates[:, 1] - one[1] * candidates[:, 0]) / (length * length[first])
    across = np.flatnonzero(sine > 0.3)
    second = across[_shortest(there[paired][:, across], room[paired][:, across], length[across])]
    return reduced(np.stack([one, candidates[second]]))


def _straightened(tree: cKDTree, points: Array, vectors: Array, reach: float) -> Array:
    """The vectors (2, 2) that hold over several cells: those of a patch may be off by a part of the
    displacements that alternate from cell to cell, and less so the mean step over many cells.
    """
    straight = vectors.copy()
    for number in range(2):
        for cells in CELLS_AT_ONCE:
            found = tree.query(points + cells * straight[number], distance_upper_bound=reach)
            distance, index = (np.asarray(each) for each in found)
            there = np.isfinite(distance)
            if there.mean() < HELD:
                break
            straight[number] = (points[index[there]] - points[there]).mean(axis=0) / cells
    return straight


def _paired(tree: cKDTree, points: Array, vectors: Array, reach: float) -> Mask:
    """(N,) whether points have a neighbour one vector away, either way, for both vectors."""
    among = np.ones(len(points), dtype=bool)
    for vector in vectors:
        among &= _has(tree, points + vector, reach) | _has(tree, points - vector, reach)
    return among


def reduced(vectors: Array) -> Array:
    """The shortest two vectors of a lattice (Gauss's reduction); the angle is within 60°..120°."""
    a, b = vectors
    while True:
        if a @ a > b @ b:
            a, b = b, a
        shorter = b - np.round((a @ b) / (a @ a)) * a
        # At 60° two vectors are equally short, and rounding would lead from one to the other.
        if shorter @ shorter >= (1.0 - SAME_SQUARE) * (b @ b):
            return np.stack([a, b])
        b = shorter


def shortest_basis(translations: Array, area: float) -> Array:
    """The reduced basis (2, 2) of the lattice that contains translations (M, 2), in a cell of an
    area, and has no shorter ones.
    """
    order = np.argsort(np.hypot(*translations.T), kind="stable")
    ordered = translations[order]
    a = ordered[0]
    cross = np.abs(a[0] * ordered[:, 1] - a[1] * ordered[:, 0])
    return reduced(np.stack([a, ordered[int(np.argmax(cross > 0.5 * area))]]))


def usual_steps(points: Array, vectors: Array) -> Array:
    """(2, 2) median steps between points that stand about one vector from each other.

    A lattice that is fitted to all points is bent by a dislocation, over which sites are off by a
    step; medians of steps are not, and show what cell it is.
    """
    tree, steps = cKDTree(points), np.array(vectors, dtype=np.float64)
    reach = REACH * float(np.hypot(*vectors.T).min())
    for number, vector in enumerate(vectors):
        found = tree.query(points + vector, distance_upper_bound=reach)
        distance, index = (np.asarray(each) for each in found)
        there = np.isfinite(distance)
        if there.any():
            steps[number] = np.median(points[index[there]] - points[there], axis=0)
    return steps


def conventional(vectors: Array) -> Array:
    """(2, 2) integers: the conventional cell in units of reduced vectors.

    A centred rectangular cell where the lattice has one, 120° where it is hexagonal; otherwise the
    reduced cell with the angle from 90° on. a is the shorter one, or the one nearer to +x where
    they are equal, and points to +x; b points to +y where the angle leaves the choice.
    """
    a, b = vectors
    la, lb = np.hypot(*a), np.hypot(*b)
    angle = np.degrees(np.arccos(np.clip(a @ b / (la * lb), -1, 1)))
    equal = abs(la - lb) < SAME_LENGTH * lb
    skew = round(float(np.sign(a @ b))) or 1
    if equal and min(abs(angle - 60), abs(angle - 90), abs(angle - 120)) < SAME_ANGLE:
        matrix = np.array([[1, 0], [0, 1]])
    elif equal:
        matrix = np.array([[1, 1], [1, -1]])
    elif abs(2 * abs(a @ b) / la - la) < 2 * np.sin(np.radians(SAME_ANGLE)) * lb:
        matrix = np.array([[1, 0], [-skew, 2]])
    else:
        matrix = np.array([[1, 0], [0, 1]])
    return _turned(matrix, vectors)


def _turned(matrix: Array, vectors: Array) -> Array:
    """The cell with its vectors in order and in their usual directions."""
    cell = matrix @ vectors
    length = np.hypot(*cell.T)
    near_x = np.abs(cell[:, 1]) / length
    equal = abs(length[0] - length[1]) < SAME_LENGTH * length.max()
    if (near_x[1] > near_x[0] + 1e-9) if equal else (length[1] < length[0]):
        matrix, cell, length = matrix[::-1], cell[::-1], length[::-1]
    if cell[0, 1] < -1e-9 * length[0] or (abs(cell[0, 1]) <= 1e-9 * length[0] and cell[0, 0] < 0):
        matrix = matrix * [[-1], [1]]
        cell = matrix @ vectors
    cosine = cell[0] @ cell[1] / length.prod()
    right = abs(cosine) < np.sin(np.radians(SAME_ANGLE))
    if (cell[1, 0] < 0) if right else (cosine > 0):
        matrix = matrix * [[1], [-1]]
    return np.asarray(matrix)


def _common_vectors(points: Array, tree: cKDTree, reach: float) -> Array:
    """(M, 2) where the vectors to neighbours pile up, half of them, up to sign."""
    count = min(NEIGHBOURS + 1, len(points))
    distance, index = (np.asarray(found) for found in tree.query(points, k=count))
    far = float(np.median(distance[:, -1]))
    steps = (points[index[:, 1:]] - points[:, None])[distance[:, 1:] <= far]
    steps = np.concatenate([steps, -steps])
    if far > MOST_BINS * 0.5 * reach:
        # Single columns far from all others, as of a damaged table.
        raise ValueError(NO_LATTICE)
    bins = int(np.ceil(far / (0.5 * reach)))
    edges = 0.5 * reach * (np.arange(-bins, bins + 2) - 0.5)
    counts = np.histogram2d(steps[:, 0], steps[:, 1], bins=[edges, edges])[0]
    smooth = gaussian_filter(counts, 1.0)
    often = RARE * len(points) / (4 * np.pi)
    peaks = 0.5 * reach * (peak_local_max(smooth, min_distance=1, threshold_abs=often) - bins)
    peaks = peaks[np.hypot(*peaks.T) > reach]
    peaks = peaks[(peaks[:, 0] > 0) | ((peaks[:, 0] == 0) & (peaks[:, 1] > 0))]
    if len(peaks) == 0:
        raise ValueError(NO_LATTICE)
    near = cKDTree(steps)
    for _ in range(3):
        members = near.query_ball_point(peaks, reach)
        peaks = np.array(
            [steps[m].mean(axis=0) if m else p for m, p in zip(members, peaks, strict=True)]
        )
    return np.asarray(peaks)


def _brought(points: Array, tree: cKDTree, vectors: Array, reach: float) -> tuple[Mask, Mask]:
    """(N, M) whether each vector brings each point onto a point, and whether within the hull."""
    targets = points[:, None] + vectors
    try:
        facets = ConvexHull(points).equations
    except QhullError as error:
        raise ValueError("the columns lie on one line; a lattice needs two directions") from error
    depth = np.full(targets.shape[:2], -np.inf)
    for facet in facets:
        depth = np.maximum(depth, targets @ facet[:2] + facet[2])
    return _has(tree, targets, reach), depth <= reach


def _has(tree: cKDTree, places: Array, reach: float) -> Mask:
    distance, _ = tree.query(places, distance_upper_bound=reach)
    return np.asarray(np.isfinite(distance))


def _shortest(there: Mask, room: Mask, length: Array) -> int:
    """The shortest vector that brings about as many columns with room onto columns as any does."""
    places = room.sum(axis=0)
    share = (there & room).sum(axis=0) / np.maximum(places, 1)
    enough = places >= min(max(2, 0.2 * len(room)), places.max(initial=0))
    if not np.any(enough & (share > 0.25)):
        raise ValueError(NO_LATTICE)
    error = np.sqrt(share * (1.0 - share) / np.maximum(places, 1))
    best = np.max((share - error)[enough])
    good = enough & (share + error >= SHARED * best) & (share > 0.25)
    return int(np.flatnonzero(good)[np.argmin(length[good])])


def small_cells(index: int) -> list[Array]:
    """Every superlattice whose cell is `index` cells large, as (2, 2) integers (Hermite's form)."""
    sizes = [(p, index // p) for p in range(1, index + 1) if index % p == 0]
    return [np.array([[p, q], [0, r]]) for p, r in sizes for q in range(r)]


def combinations(vectors: Array, reach: int = 2) -> Array:
    """(M, 2) translations that are small integer combinations of two vectors, without 0."""
    steps = [s for s in product(range(-reach, reach + 1), repeat=2) if any(s)]
    return np.asarray(np.array(steps, dtype=float) @ vectors)
