"""Multislice where the fast models are exact: one atom, and one layer."""

import sys

import numpy as np
import pytest

from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Probe, form_image
from napari_atomseg.imaging.multislice import multislice_adf, multislice_hrtem
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.structure import Structure

FIELD = Field((36, 40), 0.15, 4)


def atoms(y, x, number):
    count = len(y)
    return Structure(
        np.array(y), np.array(x), np.zeros(count), np.full(count, number), np.arange(count)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "lens",
    [{"defocus": 30.0}, {"B2": 600.0, "B2_angle": 25.0, "A1": 25.0, "A1_angle": 110.0}],
)
def test_one_atom_draws_the_probe(lens):
    probe = Probe(200e3, 22.0, source_size=0.5, **lens)
    one = atoms([2.53], [2.88], 38)
    slow = multislice_adf(one, FIELD, probe, detector=(60, 120), frozen_phonons=0)
    fast = form_image([LinearOptics(probe)], [one.scatterers()], [FIELD])[0].numpy()
    assert slow.shape == FIELD.canvas
    assert np.corrcoef(slow.ravel(), fast.ravel())[0, 1] > 0.998
    assert 0 < slow.max() < 0.05
    assert slow.argmax() == fast.argmax()


def test_one_layer_is_a_phase_object():
    layer = atoms([1.4, 3.1], [2.2, 4.4], 14)
    optics = HRTEMOptics(80e3, defocus=-60, C3=-1e5, focal_spread=20.0, vibration=0.0)
    slow = multislice_hrtem(layer, FIELD, optics, frozen_phonons=0)
    fast = form_image([optics], [layer.scatterers()], [FIELD])[0].numpy()
    assert np.corrcoef(slow.ravel(), fast.ravel())[0, 1] > 0.995
    assert slow.std() == pytest.approx(fast.std(), rel=0.08)


def test_thermal_motion_is_the_same_for_the_same_seed():
    layer = atoms([2.0], [3.0], 14)
    optics = HRTEMOptics(focal_spread=40.0, defocus=50.0)
    first, again, other = (
        multislice_hrtem(layer, FIELD, optics, frozen_phonons=2, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_the_work_reports_and_can_be_cancelled():
    seen, token = [], CancelToken()

    def progress(done, total, message):
        seen.append((done, total))
        if done == 1:
            token.cancel()

    with pytest.raises(Cancelled):
        multislice_adf(
            atoms([2.0], [2.0], 14),
            FIELD,
            Probe(),
            frozen_phonons=0,
            progress=progress,
            cancel=token,
        )
    assert [done for done, _ in seen] == [0, 1]


def test_what_is_missing_or_wrong_is_named(monkeypatch):
    one = atoms([2.0], [2.0], 14)
    with pytest.raises(ValueError, match="detector"):
        multislice_adf(one, FIELD, Probe(), detector=(100, 50))
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(ImportError, match="multislice"):
        multislice_adf(one, FIELD, Probe())
