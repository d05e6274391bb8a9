"""The predictor: one loaded network, applied to images of any size and scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from torch import Tensor

from napari_atomseg._shared.device import choose_device, half_is_fast
from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Image
from napari_atomseg.inference.frames import holds
from napari_atomseg.inference.scale import estimate_spacing, leaning
from napari_atomseg.inference.settings import SMALLEST_TILE, InferenceSettings, Precision
from napari_atomseg.inference.tiles import Blender, tiles, upsampled
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.maps import compose, denormalise, normalise, selected
from napari_atomseg.networks.tasks import ELEMENTS, INTENSITIES, UPINTERPOLATION, predictable
from napari_atomseg.progress import CancelToken, Progress, report

ZOOMS = (1.0, 0.5, 0.25, 2.0)
"""Magnifications tried; the first leaves the image unchanged."""
WINDOW = 320
"""Side, in pixels after zooming, of the part of the image that magnifications are tried on."""
CLOSEST = 3.8
"""Columns found closer than this (pixels of the image) are noise."""
CLOSEST_REDUCED = 7.0
"""Columns closer than this (pixels after zooming) in a reduced image are probably noise, which
looks the same at every magnification."""
CLEAR = 0.7
"""Confidence that networks do not reach in noise. Above it, and clearly above the confidence at
magnification 1, columns in a reduced image may be closer."""
GAIN = 0.87
"""Largest ratio of the confidence at magnification 1 to such a clearly higher one."""
LOYALTY = 0.93
"""Magnification 1 is kept where its confidence is within this factor of the best one."""
ROOMY = 34.0
"""Columns further apart (pixels) are restored better in a reduced image, even by networks trained
on such spacings: on simulated crystals by 1 dB, and by 2 to 4 dB at low dose."""


@dataclass(frozen=True)
class Zoom:
    """The chosen magnification, and the column spacing found, in pixels of the image."""

    factor: float
    spacing: float


def choose_zoom(
    column_map: Callable[[Tensor], Tensor],
    image: Image,
    sampling: float | None = None,
) -> Zoom:
    """Try the network on part of the image at several magnifications; take the most confident.

    At the right magnification it marks columns with high probability and at a distance within its
    training; at others probabilities are low, as for noise or slow shading.

    Parameters
    ----------
    column_map : (1, 1, h, w) image to (h, w) probabilities.
    image : (H, W) finite, bright columns.
    sampling : Å a pixel where known; spacings outside 0.8-6 Å are then rejected.
    """
    best, most, native = None, 0.0, 0.0
    for factor in ZOOMS:
        found = _seen(column_map, image, factor)
        if found is None:
            continue
        spacing, sureness = found[0] / factor, found[1]
        native = sureness if factor == 1.0 else native
        if found[0] < _closest(factor, clear=sureness >= CLEAR and native <= GAIN * sureness) or (
            sampling and not 0.8 <= spacing * sampling <= 6.0
        ):
            continue
        # Magnification 1 is left only for a clear gain.
        if best is None or sureness * (LOYALTY if best.factor == 1.0 else 1.0) > most:
            best, most = Zoom(factor, spacing), sureness
        if factor == 1.0 and sureness >= LOYALTY:
            break  # Nothing else could be chosen.
    return best or Zoom(1.0, estimate_spacing(image, sampling))


def _closest(factor: float, *, clear: bool) -> float:
    """Least distance of columns, in pixels after zooming; closer ones are noise."""
    if factor >= 1.0:
        return CLOSEST * factor
    return CLOSEST if clear else CLOSEST_REDUCED


def nearest_zoom(spacing: float, trained: tuple[float, float] | None) -> Zoom:
    """The magnification that brings a spacing (pixels) into the range that is restored well.

    This is the range of the training, up to `ROOMY`. The magnification is 1 where none fits, and
    where the training was not about columns.
    """
    low, high = (trained[0], min(trained[1], ROOMY)) if trained else (0.0, np.inf)
    fitting = [factor for factor in ZOOMS if low <= spacing * factor <= high]
    return Zoom(fitting[0] if fitting else 1.0, spacing)


def resize(image: Tensor, factor: float) -> Tensor:
    """(1, 1, H, W) resampled by a factor, bicubic, without aliasing."""
    if factor == 1.0:
        return image
    size = [max(1, round(n * factor)) for n in image.shape[-2:]]
    return functional.interpolate(
        image, size=size, mode="bicubic", align_corners=False, antialias=factor < 1.0
    )


def confidence(column_map: Callable[[Tensor], Tensor], image: Image) -> float:
    """Confidence (0..1) of the network in the bright columns it finds in part of the image."""
    found = _seen(column_map, image, 1.0)
    return found[1] if found else 0.0


def _window(image: Image, side: int) -> Image:
    """The part of the image, `side` pixels square at most, with the strongest fine structure."""
    height, width = (min(n, side) for n in image.shape)
    if (height, width) == image.shape:
        return np.ascontiguousarray(image)
    coarse = max(1, min(side // 64, *image.shape))
    small = image[: image.shape[0] // coarse * coarse, : image.shape[1] // coarse * coarse]
    small = small.reshape(small.shape[0] // coarse, coarse, -1, coarse)
    activity = ndimage.uniform_filter(small.var(axis=(1, 3)), max(1, side // coarse))
    row, col = (int(i) * coarse for i in np.unravel_index(activity.argmax(), activity.shape))
    top = int(np.clip(row - height // 2, 0, image.shape[0] - height))
    left = int(np.clip(col - width // 2, 0, image.shape[1] - width))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _seen(
    column_map: Callable[[Tensor], Tensor], image: Image, factor: float
) -> tuple[float, float] | None:
    """Median distance to the nearest neighbour (pixels after zooming) and mean probability of the
    columns that the network sees in part of the magnified image; None of fewer than three.
    """
    window = _window(image, int(np.ceil(WINDOW / factor)))
    probability = column_map(resize(torch.from_numpy(window)[None, None], factor))
    surface: NDArray[np.float32] = probability.float().cpu().numpy()
    peaks = peak_local_max(surface, min_distance=2, threshold_abs=0.3)
    if len(peaks) < 3:
        return None
    return median_spacing(peaks), float(surface[tuple(peaks.T)].mean())


FLAT = 1e-6
"""Deviation over mean below which an image is constant but for the rounding of its numbers."""
FLAT_DOUBLE = 1e-12
"""The same of an image in double precision."""
EITHER = 0.65
"""Confidence in both signs from which on the network cannot tell: a bright honeycomb is a dark
hexagonal lattice."""
CLEARLY = 0.1
"""Difference of these confidences from which on it can."""
LEVEL = ("denoise", UPINTERPOLATION)
"""Tasks that keep the offset of the intensities."""


class Predictor:
    """A network ready for use.

    Parameters
    ----------
    path : weights file.
    device : "auto", "cpu", "cuda" or "mps".
    precision : "full" computes in float32, "half" in bfloat16; "auto" takes half precision on
        GPUs, and on CPUs that have it in hardware where only column maps are asked for.
    tile_size : side of the largest window computed at once, in pixels.

    Attributes
    ----------
    card : what the weights file says of itself.
    tasks : names of the maps that it can give.
    channels, species : maps that the network gives, and how many of them `elements` has.

    Raises
    ------
    ValueError
        An argument is not one of those.
    WeightsError
        The weights cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "auto",
        precision: Precision = "auto",
        tile_size: int = 1024,
    ) -> None:
        chosen = InferenceSettings(device=device, precision=precision, tile_size=tile_size)
        network, self.card = load_weights(path)
        self.tasks = predictable(self.card.tasks)
        self.channels = int(self.card.arguments.get("channels_out", len(self.card.tasks)))
        self.species = self.channels - len(self.card.tasks) + 1
        self.device = choose_device(chosen.device)
        self.precision, self.tile_size = chosen.precision, chosen.tile_size
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def contrast(self, frame: Image, sampling: float | None = None) -> str:
        """Whether the frame's columns are "bright" or "dark"."""
        return "bright" if self.leaning(frame, sampling) > 0 else "dark"

    def leaning(self, frame: Image, sampling: float | None = None) -> float:
        """How clearly the frame's columns are bright, see `scale.leaning`."""
        offset, scale = _moments(frame)
        spacing = estimate_spacing(frame, sampling)
        if "column_map" not in self.tasks or _flat(frame, offset, scale):
            return leaning(frame, spacing)
        unit = _unit(frame, offset, scale)

        def lean() -> float:
            bright, dark = (confidence(self._column_map, each) for each in (unit, -unit))
            told = min(bright, dark) < EITHER or abs(bright - dark) > CLEARLY
            return bright - dark if told else 0.0

        return leaning(frame, spacing, lean)

    def zoom(self, frame: Image, tasks: Sequence[str], sampling: float | None = None) -> Zoom:
        """The magnification at which the network sees the frame's columns best.

        Where only intensities are asked for, or of a network that does not see columns, the one
        that brings the estimated distance of the columns closest to what it restores well.
        """
        offset, scale = _moments(frame)
        if _flat(frame, offset, scale):
            return Zoom(1.0, estimate_spacing(frame, sampling))
        if "column_map" not in self.tasks or _restores(tasks):
            return nearest_zoom(estimate_spacing(frame, sampling), self.card.spacing_range)
        return choose_zoom(self._column_map, _unit(frame, offset, scale), sampling)

    @torch.inference_mode()
    def _column_map(self, image: Tensor) -> Tensor:
        normal, _, deviation = normalise(image.to(self.device))
        if not float(deviation) > FLAT * float(image.abs().max()):
            return torch.zeros(image.shape[-2:])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half(())):
            output = self.network(normal.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(selected(output, "column_map", self.card.tasks)[0, 0].float())

    def maps(
        self,
        frame: Image,
        tasks: tuple[str, ...],
        zoom: float = 1.0,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> dict[str, Image]:
        """Maps of one frame (H, W) with bright columns; intensities on the scale of the frame.

        Intensities are float64 where float32 would lose their contrast beside their offset.
        The network sees the frame magnified by `zoom`. All maps are (H, W), but those of the
        species, `elements`, are (E, H, W), and `upinterpolation` is (2H, 2W).
        """
        offset, scale = _moments(frame)
        if _flat(frame, offset, scale):
            return self._flat(frame, tasks)
        known = self.card.tasks
        image = torch.from_numpy(_unit(frame, offset, scale))
        small, mean, deviation = normalise(resize(image[None, None], zoom))
        composed = self._tiled(small, self.tile_size, tasks, progress, cancel)
        finished = denormalise(composed[None], mean, deviation, known)
        result = {}
        for task in tasks:
            maps = selected(finished, task, known)
            if small.shape[-2:] != frame.shape:
                maps = functional.interpolate(
                    maps, size=frame.shape, mode="bicubic", align_corners=False
                )
            if task == UPINTERPOLATION:
                maps = upsampled(maps)
            planes: Any = maps[0].numpy()
            kind: type[np.float32 | np.float64] = np.float32
            if task in INTENSITIES:
                level = offset if task in LEVEL else 0.0
                kind = np.float32 if holds(level, scale) else np.float64
                planes = planes.astype(kind) * scale + level
            else:
                planes = planes.clip(0.0, 1.0)
            result[task] = (planes if task == ELEMENTS else planes[0]).astype(kind)
        return result

    def _flat(self, frame: Image, tasks: tuple[str, ...]) -> dict[str, Image]:
        """Maps of a constant image: no columns, and intensities unchanged."""
        height, width = frame.shape
        shapes = {ELEMENTS: (self.species, height, width), UPINTERPOLATION: (2 * height, 2 * width)}
        level = float(frame.mean(dtype=np.float64))
        return {
            task: np.full(
                shapes.get(task, frame.shape), level if task in LEVEL else 0.0, np.float32
            )
            for task in tasks
        }

    def _tiled(
        self,
        image: Tensor,
        size: int,
        tasks: tuple[str, ...],
        progress: Progress | None,
        cancel: CancelToken | None,
    ) -> Tensor:
        """(C, H, W) composed maps of a normalised image, in smaller tiles where memory is short."""
        half = self._half(tasks)
        while True:
            try:
                return self._pass(image, size, half, progress, cancel)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error) or size // 2 < SMALLEST_TILE:
                    raise
                size //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _half(self, tasks: tuple[str, ...]) -> bool:
        if self.precision == "auto" and self.device.type == "cpu":
            return half_is_fast(self.device) and not set(tasks) & set(INTENSITIES)
        return self.precision != "full" and half_is_fast(self.device)

    @torch.inference_mode()
    def _pass(
        self,
        image: Tensor,
        size: int,
        half: bool,
        progress: Progress | None,
        cancel: CancelToken | None,
    ) -> Tensor:
        shape = (image.shape[-2], image.shape[-1])
        windows = list(tiles(shape, size))
        blender = Blender(self.channels, shape)
        for done, tile in enumerate(windows):
            report(progress, cancel, done, len(windows), "tiles")
            part = image[..., tile.top : tile.bottom, tile.left : tile.right].to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                output = self.network(part.contiguous(memory_format=torch.channels_last))
            blender.add(tile, compose(output.float(), part, self.card.tasks)[0].cpu())
        report(progress, cancel, len(windows), len(windows), "tiles")
        return blender.result()


def _restores(tasks: Sequence[str]) -> bool:
    """Whether only intensities are asked for."""
    return set(tasks) <= set(INTENSITIES)


def _moments(frame: Image) -> tuple[float, float]:
    return float(frame.mean(dtype=np.float64)), float(frame.std(dtype=np.float64))


def _flat(frame: Image, offset: float, scale: float) -> bool:
    """Whether a frame is constant but for rounding."""
    single = frame.dtype == np.float32
    return not scale > (FLAT if single else FLAT_DOUBLE) * abs(offset)


def _unit(frame: Image, offset: float, scale: float) -> Image:
    return np.ascontiguousarray((frame - np.float64(offset)) / scale, dtype=np.float32)


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in text for words in ("out of memory", "not enough memory", "can't allocate memory")
    )
