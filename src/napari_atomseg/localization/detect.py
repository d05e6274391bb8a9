"""Columns from a column map: Otsu's threshold, connected components, splitting, centroids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from napari_atomseg._shared.types import Image, Labels

LOWEST_THRESHOLD = 0.25
"""Below this, noise in a map without columns would be taken for columns."""
HIGHEST_THRESHOLD = 0.5
"""Pixels above this probability belong to a column, however bright its neighbours are."""
LOWEST_SCORE = 0.45
"""Regions with a lower peak are not columns; gives the best F1 on validation scenes."""
SPECK = 0.06
"""Regions smaller than this part of the median area are dropped."""
PROMINENCE = 0.1
"""Height above the saddle to a higher peak from which a peak is a column of its own."""


@dataclass(frozen=True)
class Detections:
    """Columns of one image: positions (N,) in pixels, `score` (N,) in 0..1, `labels` (H, W).

    Column k (from 0) is the region ``labels == k + 1``; columns run in reading order.
    `magnification` (N,) of the image in which each was found.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    score: NDArray[np.float64]
    labels: Labels
    magnification: NDArray[np.float64]

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Detections:
        """No columns in an image of shape (H, W)."""
        empty = np.zeros(0)
        return cls(empty, empty, empty, np.zeros(shape, np.int32), empty)

    def __len__(self) -> int:
        return len(self.y)

    def keeping(self, some: NDArray[np.bool_]) -> Detections:
        """These detections with the labels of some of them (N,) only; their numbers stay."""
        numbers = np.where(some, np.arange(1, len(self) + 1), 0)
        labels = np.append(0, numbers).astype(np.int32)[self.labels]
        return replace(self, labels=labels)


def columns_from_map(column_map: Image) -> Detections:
    """Find the columns of a map.

    Parameters
    ----------
    column_map : (H, W) probability-like, in 0..1; NaN reads as 0.

    Returns
    -------
    Detections whose positions are the map-weighted centroids of the regions above the threshold,
    and whose scores are the map's peaks there. Regions with several peaks are divided by watershed.
    """
    clean = np.clip(np.nan_to_num(column_map), 0.0, 1.0).astype(np.float32)
    regions = _without_specks(label(clean > _threshold(clean), connectivity=1))
    above = regions > 0
    markers = _markers(clean, regions)
    labels = _confident(watershed(-clean, markers, mask=above).astype(np.int32), clean)
    count = int(labels.max(initial=0))
    if count == 0:
        return Detections.none(labels.shape)
    y, x = _centroids(labels, clean)
    return Detections(y, x, _peaks(labels, clean), labels, np.ones(count))


def columns_from_mask(column_mask: Image) -> Detections:
    """Find the columns of a mask as AtomSegNet does (Lin et al., Sci. Rep. 11, 5386, 2021): regions
    above Otsu's threshold (Otsu, IEEE Trans. SMC 9, 62, 1979), and their centroids.

    Columns that touch in the mask are one region.

    Parameters
    ----------
    column_mask : (H, W) probability-like, in 0..1; NaN reads as 0.

    Returns
    -------
    Detections whose positions are the centroids of the regions, weighted by the mask, and whose
    scores are its highest values there.
    """
    clean = np.clip(np.nan_to_num(column_mask), 0.0, 1.0).astype(np.float32)
    regions = _without_specks(label(clean > _threshold(clean), connectivity=1))
    labels = _in_reading_order(regions.astype(np.int32))
    if not labels.any():
        return Detections.none(labels.shape)
    y, x = _centroids(labels, clean)
    return Detections(y, x, _peaks(labels, clean), labels, np.ones(len(y)))


def species_of(found: Detections, maps: Image, names: Sequence[str]) -> NDArray[np.str_]:
    """(N,) name of the species whose map (E, H, W) is the highest over each detection."""
    if not len(found):
        return np.empty(0, dtype=str)
    numbers = np.arange(1, len(found) + 1)
    means = np.array([ndimage.mean(each, found.labels, numbers) for each in maps])
    named: NDArray[np.str_] = np.array(names)[means.argmax(axis=0)]
    return named


def _peaks(labels: Labels, column_map: Image) -> NDArray[np.float64]:
    """Highest value of the map in each region."""
    there = np.flatnonzero(labels)
    highest = np.zeros(int(labels.max(initial=0)) + 1)
    np.maximum.at(highest, labels.ravel()[there], column_map.ravel()[there])
    return highest[1:]


def _centroids(labels: Labels, weight: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean row and column of each region."""
    there = np.flatnonzero(labels)
    number, share = labels.ravel()[there], weight.ravel()[there].astype(np.float64)
    row, col = np.divmod(there, labels.shape[1])
    total, down, right = (
        np.bincount(number, part)[1:] for part in (share, share * row, share * col)
    )
    return down / total, right / total


def _confident(labels: Labels, column_map: Image) -> Labels:
    """Regions whose peak reaches the lowest score, renumbered."""
    if not labels.any():
        return labels
    keep = np.concatenate([[False], _peaks(labels, column_map) >= LOWEST_SCORE])
    number = np.where(keep, np.cumsum(keep), 0)
    return np.asarray(number[labels], dtype=np.int32)


def _threshold(column_map: Image) -> float:
    # Equal but for rounding, as of a network that has hardly been trained.
    if np.ptp(column_map) < 1e-4:
        return HIGHEST_THRESHOLD
    otsu = float(threshold_otsu(column_map))
    return float(np.clip(otsu, LOWEST_THRESHOLD, HIGHEST_THRESHOLD))


def _without_specks(regions: Labels) -> Labels:
    area = np.bincount(regions.ravel())
    if len(area) < 2:
        return regions
    specks = area < SPECK * np.median(area[1:])
    return np.where(specks[regions], 0, regions)


def _markers(column_map: Image, regions: Labels) -> Labels:
    """One marker a column: the whole of a simple region, the prominent peaks of the others."""
    markers: Labels = regions.astype(np.int32)
    top = int(markers.max(initial=0))
    inside = np.where(regions > 0, column_map, 0.0)
    highest = inside == ndimage.maximum_filter(inside, 3)
    peaks, _ = ndimage.label(highest & (regions > 0), np.ones((3, 3)))
    _, first = first_pixels(np.asarray(peaks, dtype=np.int32))
    peaks_in = np.bincount(regions.ravel()[first], minlength=top + 1)
    several = np.flatnonzero(peaks_in > 1)
    few = np.zeros(top + 1, dtype=bool)
    few[several] = True
    boxes = ndimage.find_objects(np.where(few[markers], markers, 0)) if len(several) else []
    crops = [markers[boxes[number - 1]] for number in several]
    pieces = [
        np.where(crop == number, column_map[boxes[number - 1]], 0.0)
        for crop, number in zip(crops, several, strict=True)
    ]
    for crop, number, parts in zip(crops, several, _prominent_peaks(pieces), strict=True):
        numbers = np.unique(parts[parts > 0])
        if len(numbers) > 1:
            crop[crop == number] = 0
            crop[parts > 0] = np.searchsorted(numbers, parts[parts > 0]) + top + 1
            top += len(numbers)
    return _in_reading_order(markers)


def _prominent_peaks(pieces: list[Image]) -> list[Labels]:
    """Peaks of regions, each with zeros about it, numbered in all of them together.

    They stand on one sheet, apart, as the search for peaks of a small image costs as much as that
    of a large one.
    """
    places, size = _side_by_side([piece.shape for piece in pieces])
    sheet = np.zeros(size, np.float32)
    for place, piece in zip(places, pieces, strict=True):
        sheet[place] = piece
    tops = h_maxima(sheet, PROMINENCE) if pieces else sheet
    parts: Labels = label((tops > 0) & (sheet > 0), connectivity=2)
    return [parts[place] for place in places]


def _side_by_side(
    shapes: list[tuple[int, ...]],
) -> tuple[list[tuple[slice, slice]], tuple[int, int]]:
    """Places of boxes (h, w) in rows on a sheet, a pixel from each other, and the sheet's size."""
    area = sum((height + 1) * (width + 1) for height, width in shapes)
    broad = max([round(area**0.5), *(width for _, width in shapes)]) + 1
    places: list[tuple[slice, slice]] = [(slice(0, 0), slice(0, 0))] * len(shapes)
    top, left, bottom = 1, 1, 1
    for number in sorted(range(len(shapes)), key=lambda each: shapes[each]):
        height, width = shapes[number]
        if left + width > broad:
            top, left = bottom + 1, 1
        places[number] = slice(top, top + height), slice(left, left + width)
        left, bottom = left + width + 1, max(bottom, top + height)
    return places, (bottom + 1, broad + 1)


def _in_reading_order(markers: Labels) -> Labels:
    numbers, first = first_pixels(markers)
    order = np.zeros(int(markers.max(initial=0)) + 1, dtype=np.int32)
    order[numbers[np.argsort(first)]] = np.arange(1, len(numbers) + 1)
    return order[markers]


def first_pixels(labels: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers that there are, ascending, and the flat index of the first pixel of each."""
    there = np.flatnonzero(labels)
    first = np.full(int(labels.max(initial=0)) + 1, labels.size)
    # Of several values for one number the last one stays.
    first[labels.ravel()[there[::-1]]] = there[::-1]
    numbers = np.flatnonzero(first < labels.size)
    return numbers, first[numbers]


SCALE = 0.17
"""Sigma of the filter over the spacing of the columns."""
CLOSEST = 0.45
"""Maxima nearer than this fraction of the spacing are one column."""
SIGNIFICANCE = 5.0
"""A column stands this many standard deviations of the filtered noise above its surroundings."""
FAINTEST = 0.12
"""Peaks below this fraction of a strong column's are ripples of the filter and of backgrounds."""


def columns_from_peaks(image: Image, spacing: float) -> Detections:
    """Find bright columns as maxima of the filtered image.

    Parameters
    ----------
    image : (H, W) finite.
    spacing : distance between neighbouring columns, pixels, within about a factor of 1.5.

    Returns
    -------
    Detections with the peak over that of a strong column as score, at most 1.
    """
    sigma = SCALE * spacing
    # The filter's kernel has no sum but for rounding, which an offset would make visible.
    response = _response(image.astype(np.float64) - np.median(image), sigma)
    # Sum of squares of the filter's kernel: 1 / (2 π σ²), by Parseval's theorem.
    noise = _pixel_noise(image, spacing) / (np.sqrt(2 * np.pi) * sigma)
    distance = max(1, round(CLOSEST * spacing))
    peaks = peak_local_max(
        response,
        min_distance=distance,
        threshold_abs=1e-6 * float(np.ptp(image)),
        exclude_border=False,
    )
    at = tuple(peaks.T)
    peaks = peaks[response[at] > SIGNIFICANCE * noise[at]]
    if len(peaks) == 0:
        return Detections.none(image.shape)
    height = response[tuple(peaks.T)]
    strong = float(np.quantile(height, 0.9))
    peaks = peaks[height > FAINTEST * strong]
    peaks = peaks[np.lexsort((peaks[:, 1], peaks[:, 0]))]
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    height = response[tuple(peaks.T)]
    labels = watershed(-response, markers, mask=response > 0).astype(np.int32)
    weight = np.maximum(response, 0.0)
    y, x = _centroids(labels, weight)
    return Detections(y, x, np.minimum(height / strong, 1.0), labels, np.ones(len(peaks)))


def _response(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """-σ² times the Laplacian of Gaussian; a slope goes on beyond the border, and gives nothing."""
    margin = min(int(4 * sigma) + 1, min(image.shape) - 1)
    framed = np.pad(image, margin, mode="reflect", reflect_type="odd") if margin else image
    filtered = -(sigma**2) * ndimage.gaussian_laplace(framed, sigma)
    rows, cols = image.shape
    response: NDArray[np.float64] = filtered[margin : margin + rows, margin : margin + cols]
    return response


def _pixel_noise(image: Image, spacing: float) -> NDArray[np.float64]:
    """(H, W) standard deviation of white noise about each pixel (Immerkær 1996, made local)."""
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    second = ndimage.convolve(image.astype(np.float64), kernel, mode="reflect")
    noise: NDArray[np.float64] = np.sqrt(ndimage.gaussian_filter(second**2, spacing)) / 6.0
    return noise


MASK_THRESHOLD = 0.5


def grown_labels(
    found: Detections, column_map: NDArray[np.float32], column_mask: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Labels (H, W) grown from detections over the mask; every detection keeps its own pixels."""
    mask = (np.nan_to_num(column_mask) > MASK_THRESHOLD) | (found.labels > 0)
    labels: NDArray[np.int32] = watershed(-np.nan_to_num(column_map), found.labels, mask=mask)
    return labels.astype(np.int32)


def add_discs(
    labels: Labels,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    radius: NDArray[np.float64],
    numbers: NDArray[np.int64],
) -> None:
    """Draw discs of at least a pixel into labels (H, W), where these have none.

    Parameters
    ----------
    y, x, radius, numbers : (N,) middles and radii in pixels, and the labels.
    """
    height, width = labels.shape
    for row, col, size, number in zip(y, x, radius, numbers, strict=True):
        reach = max(1.0, float(size)) if np.isfinite(size) else 1.0
        rows = np.arange(max(0, round(row - reach)), min(height, round(row + reach) + 1))
        cols = np.arange(max(0, round(col - reach)), min(width, round(col + reach) + 1))
        inside = np.hypot(rows[:, None] - row, cols - col) <= reach
        there = np.ix_(rows, cols)
        labels[there] = np.where(inside & (labels[there] == 0), number, labels[there])
