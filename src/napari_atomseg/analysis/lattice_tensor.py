"""Strain and rotation of a deformation gradient."""

from __future__ import annotations

import numpy as np

from napari_atomseg.analysis.lattice import Lattice
from napari_atomseg.analysis.positions import Array

STRAINS = ("eps_xx", "eps_yy", "eps_xy", "rotation_deg")
Axis = str | float


def axis_angle(x_axis: Axis, lattice: Lattice | None) -> float:
    """Angle of the strain's x axis from the image's, counter-clockwise as seen, degrees.

    Parameters
    ----------
    x_axis : "image", "a" or "b" (of the lattice), or the angle itself.

    Raises
    ------
    ValueError
        It is none of these, or a vector is asked for and there is no lattice.
    """
    if isinstance(x_axis, str):
        if x_axis == "image":
            return 0.0
        if x_axis in ("a", "b") and lattice is not None:
            y, x = lattice.vectors["ab".index(x_axis)] * lattice.scale
            return float(np.degrees(np.arctan2(-y, x)))
        raise ValueError(f'x_axis={x_axis!r} must be "image", "a" or "b" of a lattice, or degrees')
    return float(x_axis)


def strains(gradient: Array, angle_deg: float = 0.0) -> dict[str, Array]:
    """Strain and rotation, finite ones too, by F = R U: strain U - 1, rotation that of R.

    Parameters
    ----------
    gradient : (..., 2, 2) deformation gradient F in (y, x): dr = F dX, from the reference X to the
        place r.
    angle_deg : of the axis x of the strain in the image, counter-clockwise as seen.

    Returns
    -------
    ``eps_xx``, ``eps_yy``, ``eps_xy`` of the shape (...), with y as the image has it, a quarter
    turn clockwise from x as seen; ``rotation_deg`` counter-clockwise as seen, of the crystal
    against the reference.
    """
    angle = np.arctan2(
        gradient[..., 0, 1] * -1.0 + gradient[..., 1, 0], gradient[..., 0, 0] + gradient[..., 1, 1]
    )
    stretch = np.swapaxes(turned(angle), -1, -2) @ gradient
    basis = turned(np.radians(angle_deg))
    stretch = basis.T @ stretch @ basis
    return {
        "eps_xx": stretch[..., 1, 1] - 1.0,
        "eps_yy": stretch[..., 0, 0] - 1.0,
        "eps_xy": 0.5 * (stretch[..., 0, 1] + stretch[..., 1, 0]),
        "rotation_deg": np.degrees(angle),
    }


def strain_errors(covariance: Array, angle_deg: float = 0.0) -> dict[str, Array]:
    """Standard errors of small strains, ``eps_xx_err`` and so on.

    Parameters
    ----------
    covariance : (..., 4, 4) of F_yy, F_yx, F_xy, F_xx.
    angle_deg : as for `strains`.
    """
    basis = turned(np.radians(angle_deg))
    y, x = basis.T
    skew = np.degrees(np.array([[0.0, -0.5], [0.5, 0.0]]))
    forms = {
        "eps_xx": np.outer(x, x),
        "eps_yy": np.outer(y, y),
        "eps_xy": 0.5 * (np.outer(x, y) + np.outer(y, x)),
        "rotation_deg": skew,
    }
    return {
        f"{name}_err": np.sqrt(np.einsum("i,...ij,j->...", form.ravel(), covariance, form.ravel()))
        for name, form in forms.items()
    }


def turned(angle: Array | float) -> Array:
    """(..., 2, 2) rotation in (y, x), counter-clockwise as seen with y down, by radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)]
    return np.stack(rows, axis=-2)
