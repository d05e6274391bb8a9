"""Microscopes by name: typical settings to start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_atomseg.imaging.probe import wavelength

MILLIMETRE = 1e7
"""Å."""


def microscopes() -> dict[str, dict[str, Any]]:
    """Settings of typical microscopes, as keyword arguments of `simulate`, by name.

    Corrected probes have the angles and sources usual in atomic-resolution work; the 200 kV one is
    the first condition of Lin et al. 2021. Uncorrected ones stand at Scherzer's conditions
    (Kirkland, sections 3.4 and 3.5). Corrected HRTEM has a negative spherical aberration and
    overfocus, so that atoms are bright (Jia, Lentzen and Urban 2004).
    """
    return {
        "probe-corrected 300 kV STEM": _stem(300e3, 25.0, source_size=0.7),
        "probe-corrected 200 kV STEM": _stem(200e3, 24.0, source_size=0.9),
        "probe-corrected 80 kV STEM": _stem(80e3, 30.0, source_size=0.9),
        "probe-corrected 60 kV STEM": _stem(60e3, 33.0, source_size=1.0),
        "uncorrected 300 kV STEM": _uncorrected_stem(300e3, 1.2 * MILLIMETRE),
        "uncorrected 200 kV STEM": _uncorrected_stem(200e3, 1.0 * MILLIMETRE),
        "image-corrected 300 kV HRTEM": _hrtem(300e3, defocus=-60.0, C3=-1.5e5, focal_spread=30.0),
        "image-corrected 80 kV HRTEM": _hrtem(80e3, defocus=-75.0, C3=-1.2e5, focal_spread=25.0),
        "uncorrected 200 kV HRTEM": _scherzer_hrtem(200e3, 1.2 * MILLIMETRE, focal_spread=50.0),
    }


def _stem(
    energy: float, semiangle: float, source_size: float, defocus: float = 0.0, C3: float = 0.0
) -> dict[str, Any]:
    return {
        "imaging": "linear",
        "energy": energy,
        "semiangle": semiangle,
        "source_size": source_size,
        **_aberrations(defocus, C3),
    }


def _uncorrected_stem(energy: float, spherical: float) -> dict[str, Any]:
    """The sharpest incoherent probe: α = (4 λ / C3)^¼ and an underfocus of (C3 λ)^½."""
    lam = wavelength(energy)
    angle = 1e3 * (4.0 * lam / spherical) ** 0.25
    focus = np.sqrt(spherical * lam)
    return _stem(energy, round(float(angle), 1), 1.0, round(float(focus)), spherical)


def _hrtem(energy: float, defocus: float, C3: float, focal_spread: float) -> dict[str, Any]:
    return {
        "imaging": "hrtem",
        "energy": energy,
        "focal_spread": focal_spread,
        **_aberrations(defocus, C3),
    }


def _scherzer_hrtem(energy: float, spherical: float, focal_spread: float) -> dict[str, Any]:
    """The broadest band of one sign: an underfocus of (1.5 C3 λ)^½."""
    focus = np.sqrt(1.5 * spherical * wavelength(energy))
    return _hrtem(energy, round(float(focus)), spherical, focal_spread)


def _aberrations(defocus: float, C3: float) -> dict[str, float]:
    return {"defocus": defocus, "C3": C3, "C5": 0.0, "A1": 0.0, "B2": 0.0, "A2": 0.0}
