"""The lattice of columns beside a crystal that the user has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from napari_atomseg._napari.measure.task import Task
from napari_atomseg.progress import CancelToken

if TYPE_CHECKING:
    from napari_atomseg.analysis import Lattice

_MOST = 4
"""More candidates that cannot be told apart are not named."""


def crystals_to_choose() -> dict[str, str]:
    """Return the built-in crystals that have zone axes, and their names."""
    from napari_atomseg.specimen import crystals

    ordered = [name for name in crystals() if not name.startswith("amorphous")]
    return {"": "none", **{name: name for name in ordered}}


def compared(
    table: pd.DataFrame, lattice: Lattice, task: Task, cancel: CancelToken
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], list[str]]:
    """Find the zone axis of the crystal that is chosen, if one is.

    Returns
    -------
    The columns, their species named by elements where a zone axis fits; the table of zone axes by
    its title; and what the summary says.
    """
    from napari_atomseg.analysis import find_zone_axis, name_by_elements

    if not task.settings.crystal:
        return table, {}, []
    zones = find_zone_axis(lattice, task.settings.crystal, cancel=cancel)
    best = zones.iloc[0]
    if best["fits"]:
        table = name_by_elements(table, lattice, best)
    return table, {"Zone axes": zones}, ["", *_said(zones, known=task.sampling is not None)]


def _said(zones: pd.DataFrame, *, known: bool) -> list[str]:
    best = zones.iloc[0]
    lines = [f"{best['crystal']} along {best['zone_axis']}"]
    if not best["fits"]:
        lines = [f"No zone axis of {best['crystal']} fits; the nearest is {best['zone_axis']}"]
    lines.append(f"a lies along {best['a_direction']}, b along {best['b_direction']}")
    length, angle = best["length_misfit_percent"], best["angle_misfit_deg"]
    lines.append(f"misfit: lengths {length:+.2f} %, angle {angle:+.2f}°")
    lines.append(f"columns stand {best['motif_rms_pm']:.3g} pm (rms) off in the cell")
    if not known:
        lines.append(f"by the cell's shape alone; this gives {best['sampling']:.4g} Å/px")
    others = zones.loc[zones["rank"] == 1, "zone_axis"].iloc[1:]
    if len(others):
        more = ", …" if len(others) > _MOST else ""
        lines.append(f"not to be told from {', '.join(others[:_MOST])}{more}")
    return lines
