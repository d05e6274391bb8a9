"""What imaging recipes promise about the microscopes they draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.imaging import (
    AbsoluteLens,
    AnyImaging,
    Condition,
    HRTEMImaging,
    HRTEMOptics,
    LinearImaging,
    LinearOptics,
    RadialImaging,
    RadialOptics,
    RelativeLens,
)
from napari_atomseg.specimen import Columns, Field, Scatterers, Specimen

FIELD = Field((64, 64), 0.1)


def specimen(spacing=2.0):
    atoms = Scatterers(np.zeros(2), np.zeros(2), np.ones(2), np.array([8, 38]))
    return Specimen(atoms, Columns.empty(), spacing=spacing)


@given(seed=st.integers(0, 1000), spacing=st.floats(1.0, 5.0))
@settings(max_examples=30)
def test_relative_probes_are_as_sharp_as_asked(seed, spacing):
    recipe = LinearImaging(lens=RelativeLens(sharpness=(0.25, 0.25)))
    optics = recipe.draw(np.random.default_rng(seed), FIELD, specimen(spacing))
    assert optics.width == pytest.approx(0.25 * spacing, rel=0.01)


@pytest.mark.parametrize("recipe", [LinearImaging(), RadialImaging(), HRTEMImaging()])
def test_the_same_numbers_draw_the_same_microscope(recipe):
    draws = [recipe.draw(np.random.default_rng(5), FIELD, specimen()) for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0] != recipe.draw(np.random.default_rng(6), FIELD, specimen())


def test_the_conditions_of_the_library_are_drawn_as_often_as_listed():
    recipe, rng = LinearImaging(lens=AbsoluteLens()), np.random.default_rng(0)
    probes = [recipe.draw(rng, FIELD, specimen()).probe for _ in range(2000)]
    settings_ = [(p.energy, p.semiangle, p.source_size) for p in probes]
    expected = {
        (200e3, 24.0, 0.9): 0.2,
        (100e3, 30.0, 0.8): 0.2,
        (200e3, 10.5, 0.9): 0.4,
        (200e3, 10.0, 1.6): 0.2,
    }
    for setting, share in expected.items():
        assert settings_.count(setting) / 2000 == pytest.approx(share, abs=0.04)
    assert all(p.isotropic and p.defocus == p.C3 == 0 for p in probes)


def test_conditions_may_have_ranges():
    lens = AbsoluteLens(conditions=(Condition(semiangle=(15, 25), A1=(5, 10), defocus=(-20, 20)),))
    rng = np.random.default_rng(1)
    probes = [lens.draw(rng, 2.0) for _ in range(50)]
    assert all(15 <= p.semiangle <= 25 and 5 <= p.A1 <= 10 for p in probes)
    assert len({p.A1_angle for p in probes}) == 50


@pytest.mark.parametrize(
    ("kind", "optics"),
    [("linear", LinearOptics), ("radial", RadialOptics), ("hrtem", HRTEMOptics)],
)
def test_kinds_name_their_optics(kind, optics):
    recipe = TypeAdapter(AnyImaging).validate_python({"kind": kind})
    assert isinstance(recipe.draw(np.random.default_rng(0), FIELD, specimen()), optics)


@pytest.mark.parametrize(
    "mistake",
    [
        {"kind": "linear", "lens": {"kind": "absolute", "conditions": []}},
        {"kind": "linear", "gamma": (2.0, 1.0)},
        {"kind": "linear", "sharpness": (0.1, 0.2)},
        {"kind": "hrtem", "energies": (-1.0,)},
        {"kind": "cryo"},
    ],
)
def test_bad_recipes_are_refused(mistake):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyImaging).validate_python(mistake)
