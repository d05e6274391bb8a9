import numpy as np
import pandas as pd
import pytest

from napari_atomseg.evaluation import Case
from napari_atomseg.evaluation.case import known_columns
from napari_atomseg.evaluation.datasets import open_datasets, open_folder, write_case
from napari_atomseg.evaluation.simulated import Multislice, seen_columns
from napari_atomseg.io import write_image

SMALL = {"images": 2, "shape": (64, 64), "seed": 1}


def test_a_recipe_has_the_same_scenes_at_every_dose():
    low, high = open_datasets(["columns"], doses=(500, 5e4), **SMALL)
    dim, bright = low.case(1), high.case(1)
    np.testing.assert_array_equal(dim.truth, bright.truth)
    assert not np.array_equal(dim.image, bright.image)
    assert dim.name != bright.name
    # Ten times the signal over noise, where counting is the only noise.
    ratio = bright.columns["snr"] / dim.columns["snr"]
    np.testing.assert_allclose(ratio, 10.0, rtol=1e-6)


def test_cases_are_the_same_when_asked_again():
    for dataset in open_datasets(["columns", "crystals", "noise", "amorphous"], **SMALL):
        np.testing.assert_array_equal(dataset.case(1).image, dataset.case(1).image)
        assert not np.array_equal(dataset.case(0).image, dataset.case(1).image)


def test_recipes_of_cameras_count_every_electron():
    (dataset,) = open_datasets(["hr-tem"], doses=[100.0], **SMALL)
    shot = next(part for part in dataset.recipe.distortions if part.kind == "shot")
    assert shot.dose == (100.0, 100.0)
    assert shot.collected == (1.0, 1.0)


def test_recipes_that_count_nothing_keep_their_noise():
    sets = open_datasets(["apgan-graphene"], doses=[100.0, 200.0], **SMALL)
    assert [one.dose for one in sets] == [None]


@pytest.mark.parametrize("name", ["noise", "vacuum", "amorphous"])
def test_fields_without_columns_hold_none(name):
    dataset = open_datasets([name], doses=[1e4], **SMALL)[0]
    case = dataset.case(0)
    assert len(case.columns) == 0
    assert case.image.shape == (64, 64)
    assert case.image.std() > 0


def test_bounds_fall_with_the_root_of_the_dose():
    columns = pd.DataFrame(
        {"y": [20.0], "x": [21.5], "intensity": [1.0], "snr": [1.0], "cross_section": [0.5]}
    )
    ideal = np.ones((40, 40), np.float32)
    low, high = (known_columns(columns, ideal, 0.2, counts) for counts in (10.0, 1000.0))
    np.testing.assert_allclose(low["bound"] / high["bound"], 10.0)
    assert low["volume"][0] == pytest.approx(0.5 / 0.2**2)


def test_written_cases_are_a_data_set(tmp_path):
    case = open_datasets(["crystals"], doses=[5e3], **SMALL)[0].case(0)
    write_case(tmp_path, case)
    again = open_folder(tmp_path)
    assert len(again) == 1
    back = again.case(0)
    np.testing.assert_array_equal(back.image, case.image)
    np.testing.assert_array_equal(back.truth, case.truth)
    assert back.sampling == pytest.approx(case.sampling, rel=1e-5)
    pd.testing.assert_frame_equal(back.columns, case.columns, check_exact=True)


def test_an_image_with_statstems_columns(tmp_path):
    write_image(tmp_path / "particle.tif", np.ones((32, 32), np.float32))
    (tmp_path / "columns.csv").write_text("# row,col,type\n7.5,9.25,1\n20.0,11.0,2\n")
    word = f"{tmp_path / 'particle.tif'},{tmp_path / 'columns.csv'}"
    (dataset,) = open_datasets([word], sampling=0.12)
    case = dataset.case(0)
    assert dataset.name == "particle"
    assert case.columns[["y", "x"]].to_numpy().tolist() == [[7.5, 9.25], [20.0, 11.0]]
    assert case.sampling == 0.12


def test_multislice_images_are_made_once(tmp_path, monkeypatch):
    made = []

    def fast(imaging, dose, jitter, **settings):
        from napari_atomseg import simulate

        made.append(settings)
        return simulate(dose=dose, jitter=jitter, **settings)

    monkeypatch.setattr("napari_atomseg.evaluation.simulated.simulate", fast)
    low, high = (Multislice(dose, 1, 0, tmp_path) for dose in (1e3, 1e6))
    dim, bright = low.case(0), high.case(0)
    assert len(made) == len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(dim.truth, bright.truth)
    # Counting: the squared error goes with the inverse of the dose.
    errors = [np.mean((case.image - case.truth) ** 2) for case in (dim, bright)]
    assert errors[0] / errors[1] == pytest.approx(1e3, rel=0.1)


def test_columns_that_multislice_does_not_show_have_no_intensity():
    sampling = 0.16
    y, x = (each.ravel() for each in np.mgrid[20:80:15, 20:80:15].astype(float))
    height = np.where(np.arange(16) % 2, 1.0, 0.0)
    rows, cols = np.mgrid[:96, :96]
    ideal = np.full((96, 96), 0.1)
    for v, u, h in zip(y, x, height, strict=True):
        ideal += h * np.exp(-((rows - v) ** 2 + (cols - u) ** 2) / (2 * 3.0**2))
    area = 2 * np.pi * 3.0**2 * sampling**2
    linear = pd.DataFrame({"y": y, "x": x, "intensity": 0.5, "cross_section": 0.5 * area})
    seen = seen_columns(linear, ideal.astype(np.float32))
    np.testing.assert_allclose(seen["intensity"], height, atol=1e-5)
    np.testing.assert_allclose(seen["cross_section"], height * area, atol=1e-5)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("colums", "not known; choose one of crystals"),
        ("no/such/folder", "no such folder"),
        ("a.tif,b.csv", "no such file"),
    ],
)
def test_unknown_data_are_named(word, message):
    with pytest.raises((ValueError, OSError), match=message):
        open_datasets([word])


def test_a_folder_that_tells_nothing_is_refused(tmp_path):
    write_image(tmp_path / "scan.tif", np.ones((16, 16), np.float32))
    with pytest.raises(ValueError, match="no truth"):
        open_datasets([tmp_path])


def test_radius_follows_the_spacing():
    columns = pd.DataFrame({"y": [0.0, 0.0, 0.0], "x": [0.0, 20.0, 40.0]})
    assert Case("a", np.zeros((8, 8), np.float32), columns=columns).radius == pytest.approx(4.0)
    assert Case("a", np.zeros((8, 8), np.float32)).radius == 1.5
