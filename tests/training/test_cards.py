"""What a card says of the distances between columns that training covered."""

import pytest
import torch

from napari_atomseg.networks.card import ModelCard, read_card
from napari_atomseg.training import load_recipe, train
from napari_atomseg.training.cards import UNKNOWN, model_card
from napari_atomseg.training.data import Examples
from napari_atomseg.training.validation import Validation
from napari_atomseg.weights.description import describe_model
from napari_atomseg.weights.registry import Registry, describe, load_registry, write_registry

TINY = {
    "tasks": ["denoise"],
    "steps": 1,
    "batch": 1,
    "crop": 32,
    "validate_every": 1,
    "validation": 1,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
}
SOFT = {"kind": "simulated", "recipe": "lr-stem"}
AMORPHOUS = {"kind": "random", "kinds": ["amorphous"], "atoms": 2000, "support": 0.0}
FILM = {"kind": "simulated", "recipe": {"extends": "columns", "specimen": AMORPHOUS}}


def columns(low, high):
    specimen = {"kind": "columns", "spacing_px": [low, high]}
    return {"kind": "simulated", "recipe": {"specimen": specimen}}


def mixed(*parts):
    return {"kind": "mixture", "parts": parts}


def crops(of):
    return {"kind": "crops", "of": of, "size": 64}


def spacing_range(source, validation=None):
    """The range on the card of a recipe with this source."""
    recipe = load_recipe({**TINY, "source": source})
    return model_card(recipe, (), validation, 1, {}).spacing_range


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (columns(6, 20), (6.0, 20.0)),
        (crops(columns(6, 20)), (6.0, 20.0)),
        (mixed(columns(6, 20), columns(9, 33)), (6.0, 33.0)),
        (crops(mixed(columns(6, 20), crops(columns(4, 7)))), (4.0, 20.0)),
        (SOFT, None),
        (mixed(columns(6, 20), crops(SOFT)), None),
        (mixed(columns(6, 20), FILM), (6.0, 20.0)),
        (FILM, UNKNOWN),
    ],
)
def test_sources_within_sources_are_seen(source, expected):
    assert spacing_range(source) == expected


def lattice(task):
    """Validation of a task on images of columns 10 pixels apart."""
    target = torch.zeros(2, 1, 64, 64)
    target[:, :, 5::10, 5::10] = 1.0
    examples = Examples(torch.zeros(2, 1, 64, 64), target, torch.ones(2, 1, 1, 1))
    return Validation(load_recipe({**TINY, "tasks": [task]}), examples)


def test_other_sources_show_it_in_their_validation(tmp_path):
    folder = {"kind": "folder", "folder": str(tmp_path)}
    both = mixed(folder, columns(12, 20))
    assert spacing_range(folder, lattice("column_map")) == (10.0, 10.0)
    assert spacing_range(both, lattice("column_map")) == (10.0, 20.0)
    assert spacing_range(folder, lattice("denoise")) == UNKNOWN
    assert spacing_range(both, lattice("denoise")) == (12.0, 20.0)


def test_that_spacing_does_not_matter_survives_files_and_is_told(tmp_path):
    path = train({**TINY, "name": "soft", "source": SOFT}, tmp_path / "soft.safetensors")
    card = read_card(path)
    assert card.spacing_range is None
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    entry = describe(path)
    assert describe_model(entry)["Spacing"] == "any"
    write_registry(Registry(models=(entry,)), tmp_path / "registry.json")
    assert load_registry(tmp_path / "registry.json").models[0] == entry
