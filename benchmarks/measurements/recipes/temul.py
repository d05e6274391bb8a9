"""TEMUL toolkit 0.1 (GPL-3): Atomap's sublattices, displacements from sites between columns."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements.recipes.atomap import dumbbell_lattice, refine, side
from benchmarks.measurements.recipes.scene import Answer, Scene, relative

PACKAGE = "temul-toolkit"


def measure(scene: Scene) -> Answer:
    """Columns between the bright ones are refined; the vectors lead from the sites to them."""
    import atomap.api as am
    import temul.api as tml
    from hyperspy.signals import Signal2D

    image = scene.image.astype(float)
    if scene.dumbbells:
        first, second = dumbbell_lattice(scene).sublattice_list
        sites = np.array(first.atom_positions)
    else:
        apart = int(0.6 * np.linalg.norm(scene.u))
        first = am.Sublattice(am.get_atom_positions(Signal2D(image), separation=apart), image=image)
        refine(first)
    first.construct_zone_axes()
    zones = [side(first, each) for each in (scene.u, scene.v, scene.u + scene.v)]
    if not scene.dumbbells:
        between = first.find_missing_atoms_from_zone_vector(zones[2], vector_fraction=0.5)
        second = am.Sublattice(between, image=image)
        sites = np.array(second.atom_positions)
        refine(second)
    places = np.array(second.atom_positions)
    u, v = tml.find_polarisation_vectors(sites.tolist(), places.tolist())
    lengths = [np.mean(first.get_atom_distance_list_from_zone_vector(z)[2]) for z in zones[:2]]
    across = first.zones_axis_average_distances.index(zones[0])
    width = float(np.mean(first.get_monolayer_distance_list_from_zone_vector(zones[0])[2]))
    _, x, y, per_cent = tml.get_strain_map(first, across, width, sampling=1.0, return_x_y_z=True)
    return Answer(
        np.concatenate([first.atom_positions, places])[:, ::-1],
        *map(float, lengths),
        np.concatenate([(sites if scene.dumbbells else places)[:, ::-1], np.array([v, u]).T], 1),
        relative(scene, y, x, 1 + np.array(per_cent) / 100),
    )
