"""The pixels of a TIFF file's pages, and what its pages are to each other."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_atomseg._shared.contrast import are_opposite, clear_middle, correlation
from napari_atomseg.io.images.image import ImageFileError

_MOST_DETECTORS = 8
"""A file with more pages is a series of frames."""

_DETECTOR = re.compile(
    r"\b(HAADF|[HLM]?A?ADF|DF\d*|[ACi]?BF|i?DPC|SE\d*|BSE?|SEI|BEI|InLens|ETD|detector|channel)",
    re.IGNORECASE,
)

_LEVELS = 1.05
"""Ratio of the means of two pages; a focal series, whose contrast changes too, keeps its mean."""
_CONTRASTS = 2.0
"""Ratio of deviation over mean; a series of doses keeps it."""
_ALIKE = 0.7
"""Correlation of two pages whose structure is clear and the same."""
_SAME = 0.7
"""Rank correlation above which a page is a picture of another."""
_SHAPE = 0.02
"""Relative difference of the proportions of an image and its picture."""


_BEYOND = re.compile(r"invalid (?:page |value )?offset|metadata invalid or corrupted file")
"""In messages of `tifffile` on what should stand where the file has ended."""


class Undecoded(ImageFileError):
    """A page whose compression needs a package that is not installed."""


def decode(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> NDArray[Any]:
    """The pixels of a page, (H, W) or with samples, as `tifffile` has them.

    Where a compression needs the package imagecodecs, which is not there, Pillow decodes the page.

    Raises
    ------
    Undecoded
        Pillow cannot decode it either; the message names the package.
    """
    try:
        return np.asarray(page.asarray())
    except (ValueError, ImportError) as error:
        if not lacks_codec(error):
            raise
    whole = page.aspage()
    try:
        with Image.open(path) as file:
            file.seek(_number(whole))
            data = np.asarray(file)
    except (OSError, EOFError, ValueError) as error:
        raise _undecoded(path, whole) from error
    kind = np.dtype(whole.dtype)
    if data.shape != whole.shape or data.dtype.kind not in (kind.kind, "b"):
        raise _undecoded(path, whole)
    # Pillow turns images of one or eight bits around whose zero is white.
    if whole.photometric == tifffile.PHOTOMETRIC.MINISWHITE and data.dtype.itemsize == 1:
        data = ~data
    return data.astype(kind)


def whole_pages(path: Path, pages: Sequence[tifffile.TiffPage | tifffile.TiffFrame]) -> list[Any]:
    """The pages before the first that cannot be read."""
    whole: list[Any] = []
    for page in pages:
        try:
            decode(path, page)
        except Exception:  # damaged in any way
            break
        whole.append(page)
    return whole


@contextmanager
def hear_damage() -> Iterator[list[str]]:
    """What `tifffile` logs meanwhile on pages and tags beyond the end of the file, unprinted."""
    heard: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if _BEYOND.search(message):
            heard.append(message)
            return False
        return True

    logger = logging.getLogger("tifffile")
    logger.addFilter(listen)
    try:
        yield heard
    finally:
        logger.removeFilter(listen)


def lacks_codec(error: Exception) -> bool:
    """Whether `tifffile` failed because a package that decompresses is not installed."""
    return isinstance(error, ImportError) or "imagecodecs" in str(error)


def _number(page: tifffile.TiffPage) -> int:
    """Number of a page in the chain of pages that Pillow sees."""
    if page.is_subifd:
        raise ValueError("a page below another one")
    return int(page.index)


def _undecoded(path: Path, page: tifffile.TiffPage) -> Undecoded:
    name = getattr(page.compression, "name", str(page.compression))
    return Undecoded(
        f"{path}: page {page.index} is compressed by {name}, which needs the package imagecodecs; "
        "run: pip install imagecodecs"
    )


def is_picture_of(small: NDArray[Any], raw: NDArray[Any]) -> bool:
    """Whether a grey page is a preview of another: fewer bits or pixels, and the same scene.

    Grey values are compared by rank, so that contrast, gamma and a burnt-in bar do not matter.

    Parameters
    ----------
    small, raw : (H, W) pages; the one may have fewer pixels than the other.
    """
    fewer_bits = small.dtype == np.uint8 and raw.dtype.itemsize > 1
    fewer = np.subtract(raw.shape, small.shape)
    proportions = np.divide(raw.shape, small.shape)
    if (fewer < 0).any() or not (fewer_bits or fewer.all()):
        return False
    if abs(proportions[0] / proportions[1] - 1) > _SHAPE:
        return False
    # The mean over a preview's pixel, sampled at its centre.
    blurred = np.nan_to_num(raw.astype(np.float64))
    if fewer.any():
        blurred = ndimage.uniform_filter(blurred, np.rint(proportions).astype(int).tolist())
    places = [
        np.clip(((np.arange(side) + 0.5) * part).astype(int), 0, length - 1)
        for side, part, length in zip(small.shape, proportions, raw.shape, strict=True)
    ]
    reduced = blurred[np.ix_(*places)]
    if not np.ptp(reduced) > 0 or not np.ptp(small) > 0:
        return False
    from scipy import stats  # takes a quarter of a second

    return abs(float(stats.spearmanr(small, reduced, axis=None).statistic)) > _SAME


def are_detectors(pages: NDArray[Any], names: Sequence[str], times: Sequence[str]) -> str:
    """Why the pages of a stack are the images of several detectors; empty if they are frames.

    Frames follow each other with one detector: they are alike up to drift, noise and a slow change
    of the beam. Detectors see one field at once, with a contrast of different sign or size.

    Parameters
    ----------
    pages : (N, H, W).
    names : of the pages in their tags; empty where they have none.
    times : when the pages were recorded; empty where their tags have none.
    """
    count = len(pages)
    if not 2 <= count <= _MOST_DETECTORS:
        return ""
    if len(set(names)) == count and all(map(_DETECTOR.search, names)):
        return f"are named {', '.join(names)}"
    if len(set(times)) == count and all(times):
        return ""
    for first, second in pairwise(map(clear_middle, pages)):
        means, deviations = (np.array([of(first), of(second)]) for of in (np.mean, np.std))
        if not deviations.min() > 0 or _ratio(means) < _LEVELS:
            continue
        if are_opposite(first, second):
            return "are bright where others are dark"
        if (
            min(means) > 0
            and correlation(first, second) > _ALIKE
            and _ratio(deviations / means) > _CONTRASTS
        ):
            return "show the same field with different contrast"
    return ""


def _ratio(values: NDArray[np.float64]) -> float:
    """The larger of two values over the smaller; infinite where one is not positive."""
    low, high = sorted(values)
    return float(high / low) if low > 0 else np.inf
