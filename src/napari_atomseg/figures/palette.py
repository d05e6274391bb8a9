"""Colours that colour-blind eyes tell apart, too.

Categories have the palette of Okabe & Ito (2008), and a marker of their own. Numbers have cividis
(Nuñez, Anderton & Renslow, PLoS ONE 13, e0199239, 2018), signed numbers a map from blue over white
to red, directions the cyclic map twilight.
"""

from __future__ import annotations

CATEGORIES = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#000000",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SEQUENTIAL = "cividis"
SIGNED = "RdBu_r"
CYCLIC = "twilight"
NOTHING = "0.8"
"""Where nothing was measured."""
