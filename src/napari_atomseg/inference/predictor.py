"""The predictor: one loaded network, applied to images of any size and scale."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from napari_atomseg._shared.device import choose_device, half_is_fast
from napari_atomseg._shared.memory import is_out_of_memory
from napari_atomseg._shared.types import Array, Image
from napari_atomseg.inference.ensemble import ensemble_mean
from napari_atomseg.inference.frames import holds
from napari_atomseg.inference.magnification import (
    WINDOW,
    Magnifications,
    choose_magnifications,
    confidence,
    nearest_magnification,
    resize,
)
from napari_atomseg.inference.scale import estimate_spacing, leaning
from napari_atomseg.inference.settings import (
    SMALLEST_TILE,
    InferenceSettings,
    Precision,
    Quality,
)
from napari_atomseg.inference.stacks import Level
from napari_atomseg.inference.tiles import Blender, tiles, upsampled
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.maps import selected
from napari_atomseg.networks.pieces import InPieces, interruptible, pieces_of
from napari_atomseg.networks.schemes import Scheme, scheme
from napari_atomseg.networks.tasks import ELEMENTS, INTENSITIES, UPINTERPOLATION, predictable
from napari_atomseg.progress import CancelToken, Progress, checkpoint, report

FLAT = 2.5e-7
"""Deviation over mean below which an image is constant but for the rounding of its numbers, which
lie 1.2e-7 apart in float32: counts on an offset of a million of their deviations are none."""
FLAT_DOUBLE = 1e-12
"""The same of an image in double precision."""
EITHER = 0.65
"""Confidence in both signs from which on the network cannot tell: a bright honeycomb is a dark
hexagonal lattice."""
CLEARLY = 0.06
"""Difference of these confidences from which on it can."""
RECENT = 6
"""Outputs for small images that are kept: two looks at the contrast and four magnifications."""
VIEW = 1024
"""Pixels along each axis that networks which see all of an image see at once, however small the
pieces are in which they are computed."""
LEVEL = ("denoise", UPINTERPOLATION)
"""Tasks that keep the offset of the intensities."""


@dataclass(frozen=True)
class FrameMaps:
    """What a network makes of a frame (H, W).

    Attributes
    ----------
    whole : maps by task, (H, W); `elements` is (E, H, W), `upinterpolation` (2H, 2W).
        Probabilities of columns are the largest at any magnification, the mask is that of the
        largest magnification.
    magnified : by magnification f, probabilities (..., round(f H), round(f W)) by task.
    """

    whole: dict[str, Image]
    magnified: dict[float, dict[str, Image]]


class Predictor:
    """A network ready for use.

    Parameters
    ----------
    path : weights file.
    device : "auto", "cpu", "cuda" or "mps".
    precision : "full" computes in float32, "half" in bfloat16; "auto" takes half precision on
        GPUs, and on CPUs that have it in hardware where only column maps are asked for.
    tile_size : side of the largest piece computed at once, in pixels. The result does not depend on
        it where the network can be computed in pieces, see `networks.pieces`; of the others it
        is the side of the tiles.

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
        self.scheme = scheme(self.card.normalisation)
        self.tasks = predictable(self.card.tasks)
        self.channels = int(self.card.arguments.get("channels_out", len(self.card.tasks)))
        self.species = self.channels - len(self.card.tasks) + 1
        self.device = choose_device(chosen.device)
        self.precision, self.tile_size = chosen.precision, chosen.tile_size
        self.network = interruptible(network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._recent: OrderedDict[str, Tensor] = OrderedDict()
        self._spaced: tuple[str, float] = "", 0.0

    def leaning(self, frame: Image, sampling: float | None = None) -> float:
        """How clearly the frame's columns are bright, see `scale.leaning`."""
        offset, scale = _moments(frame)
        spacing = self._spacing(frame, sampling)
        if "column_map" not in self.tasks or _flat(frame, offset, scale):
            return leaning(frame, spacing, sampling=sampling)
        unit = _unit(frame, offset, scale)

        def lean() -> float:
            bright, dark = (confidence(self._column_map, each) for each in (unit, -unit))
            told = min(bright, dark) < EITHER or abs(bright - dark) > CLEARLY
            return bright - dark if told else 0.0

        return leaning(frame, spacing, lean, sampling)

    def level(self, pieces: Sequence[Image], factors: Sequence[float]) -> Level:
        """The level of an image from pieces of it (h, w) of one size."""
        offset, scale = Scheme().pooled([_moments(piece) for piece in pieces])
        scale = max(scale, float(np.finfo(np.float32).tiny))
        seen = [torch.from_numpy(_unit(piece, offset, scale))[None, None] for piece in pieces]
        normal = {}
        for factor in factors:
            parts = [self.scheme.normalise(resize(each, factor))[1:] for each in seen]
            normal[factor] = self.scheme.pooled([(float(a), float(b)) for a, b in parts])
        return Level(offset, scale, normal)

    def magnifications(
        self, frame: Image, tasks: Sequence[str], sampling: float | None = None
    ) -> Magnifications:
        """The magnifications at which the network sees the frame's columns.

        Where only intensities are asked for, or of a network that does not see columns, the one
        that brings the estimated distance of the columns closest to what it restores well.
        """
        offset, scale = _moments(frame)
        if _flat(frame, offset, scale):
            return Magnifications(1.0, (1.0,), estimate_spacing(frame, sampling))
        trained = self.card.spacing_range
        if "column_map" not in self.tasks or set(tasks) <= set(INTENSITIES):
            spacing = self._spacing(frame, sampling)
            factor = nearest_magnification(spacing, trained)
            return Magnifications(factor, (factor,), spacing)
        unit = _unit(frame, offset, scale)
        spacing = self._spacing(frame, sampling)
        return choose_magnifications(self._column_map, unit, sampling, trained, spacing)

    def _spacing(self, frame: Image, sampling: float | None) -> float:
        """Distance of the columns; both the contrast and the magnifications of a frame need it.

        That of the last frame is kept. It is the same for the negative of a frame.
        """
        bright = frame if frame.flat[0] > 0 else -frame
        content = hashlib.sha256(np.ascontiguousarray(bright).data).hexdigest()
        name = f"{frame.shape} {frame.dtype} {sampling} {content}"
        if name != self._spaced[0]:
            self._spaced = name, estimate_spacing(frame, sampling)
        return self._spaced[1]

    def _column_map(self, image: Tensor) -> Tensor:
        normal, _, deviation = self.scheme.normalise(image)
        if not float(deviation) > FLAT * float(image.abs().max()):
            return torch.zeros(image.shape[-2:])
        output = self._output(normal, self._half(()))
        return self.scheme.probability(selected(output, "column_map", self.card.tasks)[0, 0])

    @torch.inference_mode()
    def _output(self, normal: Tensor, half: bool) -> Tensor:
        """(1, C, h, w) float32 output for a normalised image (1, 1, h, w), both on the CPU.

        Magnifications are tried on small images. Where these are the whole frame, the same are seen
        again when it is mapped: the last few outputs are kept.
        """
        name = None
        if normal.numel() <= WINDOW**2:
            content = hashlib.sha256(normal.contiguous().numpy().tobytes())
            name = f"{tuple(normal.shape)} {half} {content.hexdigest()}"
            known = self._recent.get(name)
            if known is not None:
                return known
        part = normal.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            output: Tensor = self.network(part).float().cpu()
        if name is not None:
            self._recent[name] = output
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        return output

    def maps(
        self,
        frame: Image,
        tasks: tuple[str, ...],
        magnifications: Magnifications,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
        quality: Quality = "standard",
        level: Level | None = None,
    ) -> FrameMaps:
        """Maps of one frame (H, W) with bright columns; intensities on the scale of the frame.

        Intensities are float64 where float32 would lose their contrast beside their offset. The
        best quality is the mean over mirror images, see `ensemble`. A window of a larger image is
        seen on the `level` of that.
        """
        offset, scale = _moments(frame)
        if _flat(frame, offset, scale):
            return self._flat(frame, tasks, magnifications.detecting)
        normal: Mapping[float, tuple[float, float]] = {}
        if level is not None:
            offset, scale, normal = level.offset, level.scale, level.normal
        image = torch.from_numpy(_unit(frame, offset, scale))[None, None]
        intensities = [task for task in tasks if task in INTENSITIES]
        columns = [task for task in tasks if task not in INTENSITIES]
        detecting = magnifications.detecting if columns else ()
        restoring = (magnifications.restoring,) if intensities else ()
        factors = list(dict.fromkeys((*detecting, *restoring)))
        whole: dict[str, Image] = {}
        magnified: dict[float, dict[str, Image]] = {}
        for number, factor in enumerate(factors):

            def within(done: int, total: int, message: str, number: int = number) -> None:
                report(progress, cancel, number * total + done, len(factors) * total, message)

            within(0, 1, "Preparing the image")
            known = normal.get(factor)
            finished = self._finished(image, factor, known, tasks, within, cancel, quality)
            if factor in restoring:
                for task in intensities:
                    checkpoint()
                    zero = offset if task in LEVEL else 0.0
                    kind: type[np.float32 | np.float64] = (
                        np.float32 if holds(zero, scale) else np.float64
                    )
                    plane: Array = self._resampled(finished, task, frame.shape)[0].double().numpy()
                    whole[task] = (plane * scale + zero).astype(kind)
            if factor in detecting:
                found = {task: selected(finished, task, self.card.tasks)[0] for task in columns}
                magnified[factor] = {
                    task: _picture(task, planes.numpy()) for task, planes in found.items()
                }
                for task in columns:
                    checkpoint()
                    planes = self._resampled(finished, task, frame.shape).numpy().clip(0.0, 1.0)
                    made = _picture(task, planes.astype(np.float32))
                    if task not in whole:
                        whole[task] = made
                    elif task != "column_mask":  # Masks are sharpest where they are finest.
                        whole[task] = np.maximum(whole[task], made)
        return FrameMaps({task: whole[task] for task in tasks}, magnified)

    def _finished(
        self,
        image: Tensor,
        factor: float,
        normal: tuple[float, float] | None,
        tasks: tuple[str, ...],
        progress: Progress,
        cancel: CancelToken | None,
        quality: Quality,
    ) -> Tensor:
        """(1, C, h, w) all maps of an image (1, 1, H, W) magnified by a factor, and scaled by its
        own offset and scale or by those that are given.
        """
        if normal is None:
            small, mean, deviation = self.scheme.normalise(resize(image, factor))
        else:
            mean, deviation = (torch.tensor(value).view(1, 1, 1, 1) for value in normal)
            small = (resize(image, factor) - mean) / deviation

        def maps(view: Tensor, told: Progress) -> Tensor:
            composed = self._tiled(view, self.tile_size, tasks, told, cancel)
            return self.scheme.denormalise(composed[None], mean, deviation, self.card.tasks)

        if quality == "best":
            return ensemble_mean(small, self.card.modality, maps, progress, cancel)
        return maps(small, progress)

    def _resampled(self, finished: Tensor, task: str, shape: tuple[int, ...]) -> Tensor:
        """(c, H, W) maps of a task at the size of the frame; (1, 2H, 2W) of `upinterpolation`."""
        maps = selected(finished, task, self.card.tasks)
        if maps.shape[-2:] != shape:
            maps = functional.interpolate(maps, size=shape, mode="bicubic", align_corners=False)
        return upsampled(maps)[0] if task == UPINTERPOLATION else maps[0]

    def _flat(
        self, frame: Image, tasks: tuple[str, ...], detecting: tuple[float, ...]
    ) -> FrameMaps:
        """Maps of a constant image: no columns, and intensities unchanged."""
        level = float(frame.mean(dtype=np.float64))

        def even(task: str, factor: float) -> Image:
            height, width = (max(1, round(n * factor)) for n in frame.shape)
            shape = (self.species, height, width) if task == ELEMENTS else (height, width)
            return np.full(shape, level if task in LEVEL else 0.0, np.float32)

        columns = [task for task in tasks if task not in INTENSITIES]
        return FrameMaps(
            {task: even(task, 2.0 if task == UPINTERPOLATION else 1.0) for task in tasks},
            {factor: {t: even(t, factor) for t in columns} for factor in detecting if columns},
        )

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
        divided = isinstance(self.network, InPieces)
        largest = 1 << (max(image.shape[-2:]) - 1).bit_length()
        window = min(VIEW, largest) if divided else size
        while True:
            try:
                return self._pass(image, window, size, half, progress, cancel)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or window // 2 < SMALLEST_TILE:
                    raise
                # Smaller pieces give the same result, which smaller windows do not.
                if divided and min(size, window) // 2 >= SMALLEST_TILE:
                    size = min(size, window) // 2
                else:
                    window //= 2
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
        window: int,
        piece: int,
        half: bool,
        progress: Progress | None,
        cancel: CancelToken | None,
    ) -> Tensor:
        shape = (image.shape[-2], image.shape[-1])
        windows = list(tiles(shape, window))
        blender = Blender(self.channels, shape)
        for done, tile in enumerate(windows):
            report(progress, cancel, done, len(windows), "tiles")
            part = image[..., tile.top : tile.bottom, tile.left : tile.right]
            with pieces_of(piece, None if cancel is None else cancel.raise_if_cancelled):
                output = self._output(part, half)
            blender.add(tile, self.scheme.compose(output, part, self.card.tasks)[0])
        report(progress, cancel, len(windows), len(windows), "tiles")
        return blender.result()


def _picture(task: str, planes: Image) -> Image:
    """(H, W) of the maps (c, H, W) of a task; those of all species, (E, H, W), of `elements`."""
    return planes if task == ELEMENTS else planes[0]


def _moments(frame: Image) -> tuple[float, float]:
    return float(frame.mean(dtype=np.float64)), float(frame.std(dtype=np.float64))


def _flat(frame: Image, offset: float, scale: float) -> bool:
    """Whether a frame is constant but for rounding."""
    single = frame.dtype == np.float32
    return not scale > (FLAT if single else FLAT_DOUBLE) * abs(offset)


def _unit(frame: Image, offset: float, scale: float) -> Image:
    return np.ascontiguousarray((frame - np.float64(offset)) / scale, dtype=np.float32)
