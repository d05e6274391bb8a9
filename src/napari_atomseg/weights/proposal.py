"""Which model restores images of a modality, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.networks.tasks import Modality
from napari_atomseg.weights.catalogue import model_entry, models, models_for
from napari_atomseg.weights.description import BENCHMARK, benchmark
from napari_atomseg.weights.registry import DEFAULT

ATOMIC = 1.0
"""Å per pixel up to which an image may show atoms: neighbouring columns are 1 to 4 Å apart."""
CLEARLY = 0.1
"""dB of a benchmark from which on one model is better than another."""


@dataclass(frozen=True)
class Proposal:
    """A model, and a sentence or two about why it is this one."""

    model: str
    reason: str


def propose_model(
    modality: Modality,
    task: str = "denoise",
    sampling: Sampling | None = None,
    *,
    quality: Literal["standard", "best"] = "standard",
) -> Proposal:
    """The model to restore images of a modality with.

    Parameters
    ----------
    modality : of the images.
    task : what is to be done.
    sampling : Å per pixel. Beyond `ATOMIC` the models for low resolution are proposed.
    quality : "best" prefers r_em's imported network where it is better, which takes several times
        as long; "standard" the model of this package.

    Raises
    ------
    ValueError
        The modality is not known, or no model can do the task.
    """
    if modality not in get_args(Modality):
        raise ValueError(f"modality={modality!r}; choose one of {', '.join(get_args(Modality))}")
    coarse = sampling is not None and mean_sampling(sampling) > ATOMIC
    kind = f"{'lr' if coarse else 'hr'}-{modality.lower()}"
    here = models_for((task,))
    if f"restore-{kind}" not in here:
        return _other(modality, task, here)
    ours, theirs = f"restore-{kind}", f"r-em-{kind}"
    scores = model_entry(ours).scores
    better = _gain(scores)
    why = f"{_images(modality, coarse, sampling)}. {_compared(scores, ours)}".strip()
    if better is None or better < CLEARLY:
        return Proposal(ours, f"{ours} is for {why}")
    if quality == "best" and theirs in here:
        return Proposal(
            theirs,
            f"{theirs} is for {why} It is better than {ours} by {better:.1f} dB there, and takes "
            "some thirty times as long.",
        )
    how = "" if theirs in here else f", once imported (napari-atomseg models import {theirs})"
    return Proposal(
        ours,
        f"{ours} is for {why} Where quality counts more than time, {theirs} is better by "
        f"{better:.1f} dB there{how}.",
    )


def _images(modality: str, coarse: bool, sampling: Sampling | None) -> str:
    if coarse:
        return f"{modality} images of low resolution: a pixel is more than {ATOMIC:g} Å"
    known = "" if sampling is not None else ", which is taken for granted without a sampling"
    return f"{modality} images at atomic resolution{known}"


def _gain(scores: Mapping[str, float]) -> float | None:
    """DB by which r_em's network is better on the benchmark of the card."""
    own, other = scores.get(BENCHMARK), scores.get(f"{BENCHMARK}_r_em")
    return None if own is None or other is None else other - own


def _compared(scores: Mapping[str, float], name: str) -> str:
    """The benchmark of a card in a sentence; empty without one."""
    line = benchmark(scores, name)
    return f"On simulated images of this kind: {line}." if line else ""


def _other(modality: str, task: str, here: list[str]) -> Proposal:
    """A model for a task that the models of restoration do not do."""
    if not here:
        raise ValueError(f"no model can do the task {task!r}")
    table = models().set_index("name")
    fitting = [name for name in here if table["modality"][name] == modality]
    if fitting:
        chosen = DEFAULT if DEFAULT in fitting else fitting[0]
        return Proposal(chosen, f"{chosen} can do {task} and was trained on {modality} images.")
    chosen = here[0]
    trained = str(table["modality"][chosen])
    return Proposal(
        chosen,
        f"No model for {modality} images can do {task}; {chosen} can, but was trained on {trained} "
        "images.",
    )
