"""Atomap 0.4 (GPL-3): sublattices one after another, planes of columns, dumbbells."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.scene import Answer, Scene, relative

PACKAGE = "atomap"


def measure(scene: Scene) -> Answer:
    """By sublattices, or by dumbbells where they are."""
    return dumbbells(scene) if scene.dumbbells else sublattices(scene)


def sublattices(scene: Scene) -> Answer:
    """Bright columns are fitted, the others sought between them, and distances of planes taken."""
    first, second = both(scene)
    first.construct_zone_axes()
    along_u, along_v = (side(first, each) for each in (scene.u, scene.v))
    shifts = first.get_polarization_from_second_sublattice(along_u, along_v, second)
    x, y, dx, dy = np.array(shifts.metadata.vector_list).T
    lengths = [first.get_atom_distance_list_from_zone_vector(each) for each in (along_u, along_v)]
    columns = np.concatenate([first.atom_positions, second.atom_positions])
    # Atomap's shifts point from the column to the middle of its neighbours.
    return Answer(
        columns[:, ::-1],
        *[float(np.mean(each[2])) for each in lengths],
        np.stack([y, x, -dy, -dx], axis=1),
        relative(scene, lengths[1][1], lengths[1][0], lengths[1][2]),
    )


def both(scene: Scene):
    """The two sublattices, fitted."""
    import atomap.api as am
    from atomap.tools import remove_atoms_from_image_using_2d_gaussian
    from hyperspy.signals import Signal2D

    apart = int(0.6 * np.linalg.norm(scene.u))
    image = scene.image.astype(float)
    first = am.Sublattice(am.get_atom_positions(Signal2D(image), separation=apart), image=image)
    refine(first)
    rest = remove_atoms_from_image_using_2d_gaussian(image, first, show_progressbar=False)
    found = am.get_atom_positions(Signal2D(rest), separation=apart)
    second = am.Sublattice(found, image=rest)
    refine(second)
    return first, second


def refine(sublattice) -> None:
    """Centres of mass, then Gaussians."""
    sublattice.find_nearest_neighbors()
    sublattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
    sublattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)


def side(sublattice, vector):
    """The zone vector (x, y) nearest to a side of the cell."""
    zones = sublattice.zones_axis_average_distances
    away = [min(np.hypot(*(np.array(z) - s * vector[::-1])) for s in (1, -1)) for z in zones]
    return zones[int(np.argmin(away))]


def dumbbells(scene: Scene) -> Answer:
    """Vectors from the first to the second column of each."""
    one, other = dumbbell_lattice(scene).sublattice_list
    one.construct_zone_axes()
    sides = [side(one, each) for each in (scene.u, scene.v)]
    lengths = [one.get_atom_distance_list_from_zone_vector(each) for each in sides]
    start, end = (np.array(each.atom_positions)[:, ::-1] for each in (one, other))
    return Answer(
        np.concatenate([start, end]),
        *[float(np.mean(each[2])) for each in lengths],
        np.concatenate([start, end - start], axis=1),
        relative(scene, lengths[1][1], lengths[1][0], lengths[1][2]),
    )


def dumbbell_lattice(scene: Scene):
    """Dumbbells are found as wholes, then their two columns."""
    import atomap.api as am
    import atomap.initial_position_finding as ipf
    from hyperspy.signals import Signal2D

    signal = Signal2D(scene.image.astype(float))
    short = np.linalg.norm(scene.second[1] * scene.v)
    singles = am.get_atom_positions(signal, separation=int(0.6 * short))
    vector = ipf.find_dumbbell_vector(singles)
    wholes = am.get_atom_positions(signal, separation=int(1.2 * short))
    lattice = ipf.make_atom_lattice_dumbbell_structure(signal, wholes, vector)
    lattice.refine_position_gaussian(show_progressbar=False)
    return lattice
