"""Stacks that are not in memory: their frames are localized one by one, as those of one stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Image, Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.predicting import common_contrast
from napari_atomseg.inference.scale import estimate_spacing, leaning
from napari_atomseg.inference.stacks import (
    Frames,
    StackView,
    merged_notes,
    sample,
    settled_contrasts,
)
from napari_atomseg.localization.model import Model
from napari_atomseg.localization.settings import LocalizeSettings
from napari_atomseg.trust.judge import INSIDE, UNKNOWN


def stack_view(frames: Frames, sampling: Sampling | None, chosen: LocalizeSettings) -> StackView:
    """What some frames of a stack settle for all: see `inference.predicting.view_of`."""
    if chosen.detector != "peaks" or chosen.on != "raw":
        using = Model.of(frames[len(frames) // 2], chosen.model)
        tasks = using.tasks(chosen, using.detector(chosen.detector))
        return using.view_of(frames, tasks, sampling, chosen)
    mean = None if sampling is None else mean_sampling(sampling)

    def lean(plane: Image) -> float:
        return leaning(plane, estimate_spacing(plane, mean), sampling=mean)

    return settled_contrasts(chosen.contrast, *sample(frames), lean)


def attrs_of(tables: Sequence[pd.DataFrame], part: str = "frame") -> dict[str, Any]:
    """``attrs`` of the table of a stack from those of its frames, or of other parts, made apart."""
    each: list[dict[str, Any]] = [{str(k): v for k, v in table.attrs.items()} for table in tables]
    attrs = dict(each[0])
    notes = list(merged_notes((known["notes"] for known in each), part))
    attrs |= {"contrast": common_contrast([known["contrast"] for known in each]), "notes": notes}
    noise = [known["noise"] for known in each if known["noise"]]
    if noise:
        names = noise[0]
        attrs["noise"] = {n: round(float(np.mean([known[n] for known in noise])), 4) for n in names}
    verdicts = [known["training_range"] for known in each if "training_range" in known]
    verdicts = [verdict for verdict in verdicts if verdict != UNKNOWN] or verdicts[:1]
    others = [verdict for verdict in verdicts if verdict != INSIDE]
    if others:
        common = max(set(others), key=others.count)
        attrs["training_range"] = INSIDE if len(others) < len(verdicts) / 2 else common
        if len(others) < len(verdicts):
            notes.append(f"{len(others)} of {len(verdicts)} {part}s: {common}")
    return attrs
