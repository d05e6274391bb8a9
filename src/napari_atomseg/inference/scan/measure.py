"""Displacements of scan lines, measured by a network and a lattice; what of them is jitter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_atomseg._shared.device import choose_device
from napari_atomseg._shared.types import Array, Image
from napari_atomseg.inference.scan.lattice import beside_lattice, shrunk
from napari_atomseg.inference.scan.regrid import put_back
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.pieces import interruptible
from napari_atomseg.networks.scan_lines import ordered
from napari_atomseg.networks.tasks import LINE_SHIFTS, channels
from napari_atomseg.progress import checkpoint

SLOWEST = 128
"""Lines of the longest period that counts as jitter; the network is trained on as many lines."""
WIDEST = 1024
"""Pixels of a line that the network sees at once; longer lines are measured in pieces."""
PASSES = 2
"""Measurements, each of the frame as the one before puts it back."""
CLEARLY = 1.5
"""Variance of the jitter over that of its error, above which it is undone by itself."""
CONTROL = 3.0
"""Variance of the jitter over what is measured in the other direction, likewise."""
SHARPER = 1.01
"""Power of what is ordered in an image with its lines put back over that before, likewise."""
ALIKE = 0.99
"""Of that power, with lines put back beside their lattice, over the network's, which may take some
noise for order."""
EDGE = 4
"""Pixels at the borders of an image that do not count where it is compared with itself."""
FEWEST = 16
"""Fewest lines and pixels of a line that anything can be measured from."""


@dataclass(frozen=True)
class LineShifts:
    """Displacements of the lines of a frame; line k shows the specimen at row k - δy.

    Attributes
    ----------
    jitter : (N, 2) displacement (across, along) the lines in pixels, but for what is slow.
    errors : (N, 2) standard errors of it.
    drift : (N, 2) the slow part: periods above `SLOWEST` lines. It is also what a bent specimen
        looks like. Offset, and what grows evenly from line to line (drift and shear), are in no
        image and left out.
    raw : (N, 2) jitter as it was measured, where what is likely is less; None where it is alike.
    """

    jitter: Array
    errors: Array
    drift: Array
    raw: Array | None = None

    def clear(self, control: LineShifts) -> tuple[bool, bool]:
        """Whether the jitter across and along the lines is clearly more than an error.

        It must be larger than its stated error, and than what was measured in the same image where
        there are no lines: of an image whose rows are lines, its columns.

        Parameters
        ----------
        control : displacements of the columns, if these are of the rows, and the other way round.
        """
        known, stated = ((each**2).mean(axis=0) for each in (self.jitter, self.errors))
        more = _raw_variance(self) > CONTROL * _raw_variance(control)
        across, along = (known > CLEARLY * stated) & more
        return bool(across), bool(along)

    @property
    def rms(self) -> Array:
        """(2,) root mean square of the jitter across and along the lines, pixels."""
        return np.asarray(np.sqrt((self.jitter**2).mean(axis=0)), dtype=np.float64)

    def only(self, axes: tuple[bool, bool]) -> LineShifts:
        """The same with the jitter across or along the lines left out; it has no error then."""
        keep = np.array(axes)
        return replace(
            self,
            jitter=np.where(keep, self.jitter, 0.0),
            errors=np.where(keep, self.errors, 0.0),
        )


def _raw_variance(shifts: LineShifts) -> Array:
    """(2,) of the jitter as it was measured."""
    raw = shifts.jitter if shifts.raw is None else shifts.raw
    return np.asarray((raw**2).mean(axis=0))


class LineMeter:
    """A network that measures lines, ready for use.

    Parameters
    ----------
    path : weights file.
    device : "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    ValueError
        The model does not measure lines, or there is no such device.
    WeightsError
        The weights cannot be used.
    """

    card: ModelCard

    def __init__(self, path: str | Path, device: str = "auto") -> None:
        network, self.card = load_weights(path)
        if tuple(self.card.tasks) != (LINE_SHIFTS,):
            raise ValueError(
                f"model {self.card.name} does not measure scan lines: its tasks are "
                f"{', '.join(self.card.tasks)}, not {LINE_SHIFTS}"
            )
        if self.card.arguments.get("channels_out") != channels((LINE_SHIFTS,)):
            raise ValueError(f"model {self.card.name} has not the channels of {LINE_SHIFTS}")
        self.device = choose_device(device)
        network = interruptible(network)
        self.network: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, frame: Image | Array) -> LineShifts:
        """Displacements of the lines of a frame (N, W), its rows.

        The frame is put back and measured again, `PASSES` times in all; what is found each time
        adds up, and the errors are those of the first time, when nothing was hidden yet. Where the
        frame shows a lattice, lines are then measured beside it.
        """
        values = np.asarray(frame, dtype=np.float64)
        whole = np.zeros((len(values), 2))
        if min(values.shape) < FEWEST or not np.ptp(values) > 0:
            return LineShifts(whole, np.full_like(whole, np.inf), np.zeros_like(whole))
        found, errors = self._once(values)
        whole = whole + found
        for _ in range(PASSES - 1):
            found, _ = self._once(put_back(values, whole, errors))
            whole = whole + found
        drift = slow_part(whole, errors)
        return _closer(values, LineShifts(whole - drift, errors, drift))

    @torch.inference_mode()
    def _once(self, values: Array) -> tuple[Array, Array]:
        """(N, 2) displacements and their errors, without offset and even growth."""
        unit = (values - values.mean()) / max(float(values.std()), 1e-30)
        parts = np.array_split(unit, -(-unit.shape[1] // WIDEST), axis=1)
        total, weight = np.zeros((len(values), 2)), np.zeros((len(values), 2))
        for part in parts:
            image = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))[None, None]
            image = image.to(self.device).contiguous(memory_format=torch.channels_last)
            lines = self.network(image)[0, :, :, 0].double().cpu().numpy().T
            shift, precision = lines[:, :2], np.exp(-2.0 * lines[:, 2:])
            shift = shift - fitted(shift, precision, 0)
            total, weight = total + shift * precision, weight + precision
        return total / weight, weight**-0.5


def _closer(frame: Array, known: LineShifts) -> LineShifts:
    """Displacements of the lines of a frame beside its lattice, where that makes it sharper.

    Of wide frames the middle is enough: the more pixels a line has, the smaller is its error.
    """
    first = max(0, (frame.shape[1] - WIDEST) // 2)
    frame = frame[:, first : first + WIDEST]
    found = beside_lattice(frame, known.jitter + known.drift, known.errors)
    if found is None:
        return known
    whole, errors = found
    drift = slow_part(whole, errors)
    closer = LineShifts(whole - drift, errors, drift)
    if _restored_power(frame, closer) < ALIKE * _restored_power(frame, known):
        return known
    jitter, errors = shrunk(closer.jitter, errors)
    return LineShifts(jitter, errors, drift, closer.jitter)


def fitted(shifts: Array, precision: Array, waves: int) -> Array:
    """(N, 2) least-squares fit of offset, even growth and slow waves to displacements.

    Parameters
    ----------
    shifts, precision : (N, 2) displacements, and inverse variances that weigh them.
    waves : number of cosines beside offset and growth, of N / 2, N / 4, N / 6… cycles a line.
    """
    line = (np.arange(len(shifts)) + 0.5) / len(shifts)
    basis = [np.ones_like(line), 2.0 * line - 1.0]
    basis += [np.cos(np.pi * (wave + 1) * line) for wave in range(waves)]
    design = np.stack(basis, axis=1)
    fit = np.empty_like(shifts)
    for axis in range(shifts.shape[1]):
        weight = np.sqrt(precision[:, axis] / precision[:, axis].max())[:, None]
        answer = np.linalg.lstsq(weight * design, weight[:, 0] * shifts[:, axis], rcond=None)[0]
        fit[:, axis] = design @ answer
    return fit


def slow_part(shifts: Array, errors: Array) -> Array:
    """(N, 2) what of displacements changes over more than `SLOWEST` lines."""
    return fitted(shifts, errors**-2.0, int(2 * len(shifts) / SLOWEST))


def sharpening(frame: Array, shifts: LineShifts) -> float:
    """Power of what is ordered in a frame (N, W) with its lines put back, over that before.

    Displaced lines take power from the reflections of a lattice (see `networks.scan_lines.ordered`)
    and putting them back returns it; moving lines that were not displaced takes more of it. This
    knows nothing of how displacements were measured. It is 1 where nothing is ordered.
    """
    before = _ordered_power(frame)
    return _restored_power(frame, shifts) / before if before > 0 else 1.0


def _restored_power(frame: Array, shifts: LineShifts) -> float:
    """Power of what is ordered in a frame with its lines put back."""
    return _ordered_power(put_back(frame, shifts.jitter, shifts.errors))


def _ordered_power(frame: Array) -> float:
    checkpoint()
    scale = max(float(frame.std()), 1e-30)
    unit = torch.from_numpy(np.ascontiguousarray((frame - frame.mean()) / scale))
    return float(ordered(unit[None, None])[..., EDGE:-EDGE, EDGE:-EDGE].square().mean())


@lru_cache(maxsize=2)
def line_meter(path: str, modified: int, device: str) -> LineMeter:
    """Loaded networks are kept; a changed file is loaded anew (`modified`)."""
    return LineMeter(path, device)
