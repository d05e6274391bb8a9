"""Scenes to images and ground truth, a batch at a time, on any device.

A render is deterministic in the scene: random numbers come from the scene's own seed. On a CPU each
scene is rendered alone, so that not even the last bit depends on its companions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from napari_atomseg import imaging
from napari_atomseg._shared.kept_memory import keep_freed_memory
from napari_atomseg.distortion.scan import LineMotion, shift_lines
from napari_atomseg.progress import checkpoint
from napari_atomseg.simulation.background import background_image
from napari_atomseg.simulation.scene import Scene
from napari_atomseg.simulation.slow import moments_seed, multislice_image
from napari_atomseg.simulation.targets import label_targets, mask_radius, upsampled

SHARP = "no_noise_no_background_superresolution"
FINER = {
    "no_noise_upinterpolation_2x": "no_noise",
    "no_noise_no_background_upinterpolation_2x": "no_background_no_noise",
}
"""Targets with four pixels in the place of each, and what they are finer versions of."""
GROUP = 32
"""Scenes rendered in one go on a graphics card."""


@dataclass(frozen=True)
class Batch:
    """Images and targets, each (B, H, W) float32; `sigma` and `radius` (B,) in pixels.

    Targets called `..._upinterpolation_2x` are (B, 2H, 2W).
    """

    image: Tensor
    ideal: Tensor
    targets: dict[str, Tensor]
    sigma: Tensor
    radius: Tensor


def render(
    scenes: Sequence[Scene], device: str = "cpu", clean: Sequence[Tensor] | None = None
) -> Batch:
    """Render scenes of one shape and one choice of targets.

    Parameters
    ----------
    scenes : B scenes drawn from one recipe.
    clean : images of the specimens alone, each (H, W) of the canvas, from a slower and more exact
        method; by default the scenes' own optics form them.

    Returns
    -------
    Batch with the distorted image, the ideal one and the targets that the scenes name.
    """
    keep_freed_memory()
    size = 1 if torch.device(device).type == "cpu" else GROUP
    whole: Batch | None = None
    for first in range(0, len(scenes), size):
        group = scenes[first : first + size]
        given = None if clean is None else torch.stack(list(clean[first : first + size]))
        part = _render_group(group, device, given)
        whole = _room(part, len(scenes)) if whole is None else whole
        for room, made in zip(_tensors(whole), _tensors(part), strict=True):
            room[first : first + size] = made
    if whole is None:
        raise ValueError("scenes=[]: there is nothing to render")
    return whole


def _tensors(batch: Batch) -> list[Tensor]:
    return [batch.image, batch.ideal, *batch.targets.values(), batch.sigma, batch.radius]


def _room(part: Batch, count: int) -> Batch:
    """Room for `count` scenes like those of a part."""
    image, ideal, *targets, sigma, radius = (
        torch.empty((count, *each.shape[1:]), device=each.device) for each in _tensors(part)
    )
    return Batch(image, ideal, dict(zip(part.targets, targets, strict=True)), sigma, radius)


def _render_group(scenes: Sequence[Scene], device: str, clean: Tensor | None) -> Batch:
    checkpoint()
    generators = [_generator(scene.seed, device) for scene in scenes]
    clean = _formed(scenes, device) if clean is None else clean.to(device)
    checkpoint()
    clean = torch.stack([_scaled(image, s) for image, s in zip(clean, scenes, strict=True)])
    clean, ideal = _levelled(clean, scenes, generators)
    checkpoint()
    masks = label_targets(scenes, device)
    sharp = {name: masks.pop(name) for name in (SHARP,) if name in masks}
    truth = {"ideal": ideal, "clean": clean, **sharp}
    image, truth, masks = _distorted(ideal, truth, masks, scenes, generators)
    ideal, clean = truth.pop("ideal"), truth.pop("clean")
    wanted, margin = scenes[0].targets.names, scenes[0].view.margin
    inner = (slice(None), slice(margin, -margin or None), slice(margin, -margin or None))
    targets = {name: target[inner] for name, target in {**truth, **masks}.items()}
    truths = {"no_noise": ideal, "no_background_no_noise": clean}
    targets |= {name: truths[name][inner] for name in truths if name in wanted}
    finer = {name: truths[coarse] for name, coarse in FINER.items() if name in wanted}
    targets |= {name: upsampled(coarse, margin) for name, coarse in finer.items()}
    return Batch(
        image[inner],
        ideal[inner],
        targets,
        torch.tensor([s.sigma for s in scenes], device=device),
        torch.tensor([mask_radius(s) for s in scenes], device=device),
    )


def _generator(seed: tuple[int, int], device: str) -> Generator:
    state = np.random.SeedSequence((*seed, 1)).generate_state(1, np.uint64)[0]
    return Generator(device).manual_seed(int(state >> np.uint64(1)))


def _formed(scenes: Sequence[Scene], device: str) -> Tensor:
    """Images of the specimens alone: painted ones, those of multislice, and those that the optics
    form.
    """
    image = torch.empty((len(scenes), *scenes[0].view.canvas), device=device)
    atomic = []
    for i, scene in enumerate(scenes):
        if scene.specimen.picture is not None:
            image[i] = torch.from_numpy(scene.specimen.picture)
        elif scene.multislice is not None:
            seed = moments_seed(scene.seed)
            image[i] = multislice_image(
                scene.specimen, scene.view, scene.optics, scene.multislice, seed=seed
            )
        else:
            atomic.append(i)
    if atomic:
        formed = imaging.form_image(
            [scenes[i].optics for i in atomic],
            [scenes[i].specimen.scatterers for i in atomic],
            [scenes[i].view for i in atomic],
            device,
        )
        image = _replaced(image, atomic, formed)
    return image.clamp_min_(0.0)


def _scaled(image: Tensor, scene: Scene) -> Tensor:
    """The image in units of what the scene shows as 1."""
    scale = float(image.max()) if scene.scale is None else scene.scale
    return image / scale if scale > 0 else image


def _levelled(
    clean: Tensor, scenes: Sequence[Scene], generators: Sequence[Generator]
) -> tuple[Tensor, Tensor]:
    """The structures' images, and the same with all that lies under them."""
    ideal = clean
    contrasts = [scene.contrast for scene in scenes if scene.contrast is not None]
    if contrasts:
        clean = imaging.structure_contrast(clean, contrasts)
        ideal = clean + imaging.contrast_background(clean, contrasts)
    under = [
        background_image(s.background, s.specimen, s.view, s.optics.width, generator)
        for s, generator in zip(scenes, generators, strict=True)
        if s.background is not None
    ]
    if under:
        ideal = ideal + torch.stack(under)
    if contrasts:
        scale, offset = (number[:, None, None] for number in imaging.level(ideal, contrasts))
        clean, ideal = clean * scale, ideal * scale + offset
    return clean, ideal


def _distorted(
    image: Tensor,
    truth: dict[str, Tensor],
    masks: dict[str, Tensor],
    scenes: Sequence[Scene],
    generators: Sequence[Generator],
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """The image with the scenes' distortions; true images and masks with those that they share.

    Scenes of one recipe list the same distortions in the same order, each its own selection.
    """
    listed = {d.place: d.distortion for scene in scenes for d in scene.distortions}
    motion = None
    for place, distortion in sorted(listed.items()):
        checkpoint()
        drawn = {
            i: d.values for i, s in enumerate(scenes) for d in s.distortions if d.place == place
        }
        rows = list(drawn)
        values = {
            name: torch.from_numpy(
                np.stack([np.asarray(v[name], dtype=np.float32) for v in drawn.values()])
            ).to(image.device)
            for name in drawn[rows[0]]
        }
        some = [generators[i] for i in rows]
        if isinstance(distortion, LineMotion):
            # Motions that follow each other add up, so that lines are interpolated only once.
            motion = image.new_zeros(*image.shape[:2], 2) if motion is None else motion
            motion[rows] += distortion.shifts(image.shape[1], values, some)
            continue
        image, motion = _moved(image, motion), None
        if not distortion.shared:
            image = _replaced(image, rows, distortion.apply(_chosen(image, rows), values, some))
            continue
        stack = _chosen(torch.stack([image, *truth.values()], dim=1), rows)
        image, *changed = (
            _replaced(old, rows, new)
            for old, new in zip(
                (image, *truth.values()),
                distortion.apply(stack, values, some).unbind(1),
                strict=True,
            )
        )
        truth = dict(zip(truth, changed, strict=True))
        if masks:
            labels = _chosen(torch.stack(list(masks.values()), dim=1), rows)
            new = distortion.apply_labels(labels, values).unbind(1)
            masks = {
                name: _replaced(old, rows, one)
                for (name, old), one in zip(masks.items(), new, strict=True)
            }
    return _moved(image, motion), truth, masks


def _moved(image: Tensor, motion: Tensor | None) -> Tensor:
    return image if motion is None else shift_lines(image, motion)


def _chosen(image: Tensor, rows: list[int]) -> Tensor:
    """Some rows of the batch."""
    return image if len(rows) == len(image) else image[rows]


def _replaced(image: Tensor, rows: list[int], new: Tensor) -> Tensor:
    """The batch with some of its rows replaced."""
    if len(rows) == len(image):
        return new
    image = image.clone()
    image[rows] = new
    return image
