"""Columns that merge: joint fits converge and their errors hold, other fits say what they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from napari_atomseg.localization.fit.joint.model import LOG_SIGMA, JointModel, fisher_blocks
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.joint.system import JointSystem
from napari_atomseg.localization.fit.windows import initial_estimates
from napari_atomseg.localization.overlap import merging_notes, overlap_notes, overlapping
from napari_atomseg.localization.refit import refine_columns

SIGMA, CELL = 3.0, 27.0


def dumbbells(draw, rng, distance, height, side=6, cell=CELL):
    """Counted image, true places (2, N) and starts within 0.3 px of dumbbells in all directions."""
    axis = (np.arange(side) + 0.5) * cell
    middle = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    angle = rng.uniform(0, 2 * np.pi, len(middle))
    half = 0.5 * distance * SIGMA * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    places = np.concatenate([middle - half, middle + half]).T
    clean = draw((round(side * cell),) * 2, *(middle - half).T, SIGMA, height, 0.2 * height)
    clean = clean + draw(clean.shape, *(middle + half).T, SIGMA, 0.8 * height, 0.0)
    start = places + rng.uniform(-0.3, 0.3, places.shape)
    return torch.from_numpy(rng.poisson(clean).astype(float)), places, start


@pytest.mark.parametrize("widths", ["shared", "free"])
@pytest.mark.parametrize("distance", [1.5, 2.0])
def test_joint_fits_of_dumbbells_converge_and_their_errors_hold(widths, distance, draw, rng):
    image, places, start = dumbbells(draw, rng, distance, 1000.0)
    fits = fit_jointly(image, *start, widths=widths)
    good = fits.converged
    assert good.mean() > 0.95
    z = ((np.stack([fits.y, fits.x]) - places) / [fits.y_err, fits.x_err])[:, good]
    # 144 numbers know their rms to 6 %, and the part within one error to 4 %.
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.3
    assert 0.56 < np.mean(np.abs(z) < 1) < 0.8
    assert abs(np.median(fits.sigma[good]) / SIGMA - 1) < 0.02


def test_errors_in_a_crystal_of_merging_columns_are_those_of_the_whole_matrix(draw, rng):
    # Four sigmas from dumbbell to dumbbell: messages around so many rings do not settle.
    image, places, _ = dumbbells(draw, rng, 2.0, 1000.0, side=5, cell=12.0)
    initial = replace(initial_estimates(image, *places), sigma=SIGMA)
    theta = torch.zeros(places.shape[1], 5, dtype=torch.float64)
    theta[:, :2] = torch.from_numpy(places.T)
    theta[:, LOG_SIGMA], theta[:, 3], theta[:, 4] = np.log(SIGMA), 900.0, 200.0
    model = JointModel(image, initial)
    own, cross = fisher_blocks(model, theta, model.used / 1000.0)
    blocks = JointSystem(own, cross, model.pairs, []).covariance()
    count = len(theta)
    whole = torch.zeros(count, count, 5, 5, dtype=torch.float64)
    whole[torch.arange(count), torch.arange(count)] = own
    first, second = model.pairs.T
    whole[first, second], whole[second, first] = cross, cross.mT
    inverse = torch.linalg.inv(whole.transpose(1, 2).reshape(5 * count, 5 * count))
    exact = inverse.view(count, 5, count, 5)[torch.arange(count), :, torch.arange(count), :]
    found, true = (each.diagonal(dim1=1, dim2=2)[:, :2].sqrt() for each in (blocks, exact))
    np.testing.assert_allclose(found, true, rtol=0.1)


@pytest.mark.parametrize(("distance", "told"), [(2.0, True), (3.0, True), (5.0, False)])
def test_fits_one_by_one_say_that_columns_overlap(distance, told, draw, rng):
    image, _, start = dumbbells(draw, rng, distance, 1000.0, side=4, cell=40.0)
    columns = pd.DataFrame({"y": start[0], "x": start[1]})
    columns.attrs["notes"] = ["kept"]
    single = refine_columns(image.numpy(), columns, refine="gaussian")
    assert any("of 32 columns" in note for note in single.attrs["notes"]) == told
    assert single.attrs["notes"][0] == "kept"
    joint = refine_columns(image.numpy(), single, refine="joint")
    assert joint.attrs["notes"] == ["kept"]
    assert columns.attrs["notes"] == ["kept"]


def test_overlap_is_seen_in_angstrom():
    """Pixels twice as high as wide: three of them down are as far as six across."""
    down = pd.DataFrame({"y": [10.0, 13.0], "x": [10.0, 10.0], "sigma": [1.5, 1.5]})
    across = pd.DataFrame({"y": [10.0, 10.0], "x": [10.0, 13.0], "sigma": [1.5, 1.5]})
    flat = float(np.log(0.5))
    assert overlapping(across, flat).all()
    assert overlapping(down, flat).all()
    assert not overlapping(down.assign(y=[10.0, 14.0]), flat).any()
    assert overlapping(across.assign(x=[10.0, 14.0]), flat).all()
    assert len(overlap_notes([across], "gaussian", flat)) == 1
    assert overlap_notes([across], "joint", flat) == []


def pairs(distances, sigma=3.0):
    """Pairs of columns, far from each other, at distances over sigma."""
    y = 30.0 * np.repeat(np.arange(len(distances)), 2)
    x = np.stack([np.zeros(len(distances)), sigma * np.asarray(distances)], axis=1).ravel()
    return pd.DataFrame({"y": y, "x": x, "sigma": sigma})


def test_pairs_down_to_the_limit_of_resolution_say_that_nearer_ones_are_one_column(rng):
    varied = rng.uniform(2.0, 5.0, 200)
    (note,) = merging_notes([pairs(varied)])
    assert "taken for one column" in note
    assert merging_notes([pairs(varied), pairs(varied)])[0].startswith(
        f"{2 * int(note.split()[0])}"
    )
    # Dumbbells are all alike, crystals are resolved, and few pairs are chance.
    assert merging_notes([pairs(rng.normal(2.2, 0.06, 200))]) == []
    assert merging_notes([pairs(rng.uniform(2.6, 5.0, 200))]) == []
    assert merging_notes([pairs(np.append(varied[:5], np.full(195, 6.0)))]) == []
    assert merging_notes([pairs([])]) == []
    assert merging_notes([pairs(varied).drop(columns="sigma")]) == []
