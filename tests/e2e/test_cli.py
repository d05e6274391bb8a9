"""The command line, as a user runs it: real files, the shipped model, and some real processes."""

from __future__ import annotations

import _thread
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from scipy import ndimage
from typer.testing import CliRunner, Result

from napari_atomseg import align, analyze, correct_scan
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image, write_image

SAMPLING = 0.12

RECIPE = """\
name: small
steps: 6
batch: 2
crop: 64
validate_every: 3
validation: 2
network: {name: unet, arguments: {widths: [8, 16]}}
"""


def run(folder: Path, *arguments: object, code: int = 0, **environment: str) -> Result:
    """Run one command in a folder; it must end with the exit code. In this process, to be quick."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    assert done.exit_code == code, f"{arguments}\n{done.output}\n{done.exception!r}"
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def run_process(
    folder: Path, *arguments: object, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Do as `run`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "napari_atomseg", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=280,
        check=False,
    )
    assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def fails(folder: Path, *arguments: object) -> str:
    """The one line that says why a command failed; in this process, to be quick."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 1, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated image, its ideal and its true columns."""
    folder = tmp_path_factory.mktemp("scene")
    run(
        folder,
        *("simulate", "Pt", "--output", "pt.tif", "--columns", "truth.csv", "--ideal", "ideal.tif"),
        *("--zone-axis", 0, 0, 1, "--shape", 160, 192, "--sampling", SAMPLING, "--dose", 2e4),
        *("--offset", 0.98, 0.98),
    )
    return folder


@pytest.fixture(scope="module")
def images(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two images of different kinds, a file of another kind and a broken image."""
    folder = tmp_path_factory.mktemp("images")
    image = read_image(scene / "pt.tif").data
    write_image(folder / "a.tif", image, SAMPLING)
    grey = np.clip(255 * image / image.max(), 0, 255).astype(np.uint8)
    imageio.imwrite(folder / "b.png", grey)
    (folder / "c.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not an image at all")
    return folder


def test_simulated_files_have_scale_truth_and_settings(scene: Path) -> None:
    image, ideal = read_image(scene / "pt.tif"), read_image(scene / "ideal.tif")
    truth = read_columns(scene / "truth.csv")
    assert image.data.shape == ideal.data.shape == (160, 192)
    assert image.sampling == pytest.approx(SAMPLING, rel=1e-6)
    assert not np.array_equal(image.data, ideal.data)
    record = image.metadata["provenance"]
    assert record["settings"]["crystal"] == "Pt"
    assert record["settings"]["dose"] == 2e4
    assert truth.attrs["sampling"] == SAMPLING
    # fcc along [001] is a square net of side a/2 = 1.96 Å; the offset puts no column on the border
    # of the 19.2 Å × 23.0 Å field of view, so that 10 × 12 lie inside.
    assert len(truth) == 120


@pytest.mark.slow
def test_restore_comes_nearer_to_the_ideal(scene: Path, tmp_path: Path) -> None:
    run_process(tmp_path, "restore", scene / "pt.tif", "-o", "restored.tif")
    image, ideal = read_image(scene / "pt.tif"), read_image(scene / "ideal.tif").data
    restored = read_image(tmp_path / "restored.tif")
    before = analyze.psnr(image.data, ideal, affine=True)
    assert analyze.psnr(restored.data, ideal, affine=True) > before + 3
    assert restored.sampling == pytest.approx(SAMPLING, rel=1e-6)
    record = restored.metadata["provenance"]
    assert (record["action"], record["source"], record["model"]) == ("restore", "pt", "stem-hr")
    assert re.fullmatch("[0-9a-f]{64}", record["sha256"])
    assert record["version"] == metadata.version("napari-atomseg")


def test_up_interpolation_halves_the_sampling(scene: Path, tmp_path: Path) -> None:
    image = read_image(scene / "pt.tif")
    run(tmp_path, "restore", scene / "pt.tif", "--task", "upinterpolation", "-o", "fine.tif")
    fine = read_image(tmp_path / "fine.tif")
    assert fine.data.shape == tuple(2 * n for n in image.data.shape)
    assert fine.sampling == pytest.approx(SAMPLING / 2, rel=1e-6)
    assert fine.metadata["provenance"]["settings"]["sampling"] == pytest.approx(SAMPLING, rel=1e-6)


def test_localize_finds_the_true_columns(scene: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "localize", scene / "pt.tif", "-o", "columns.csv")
    found = read_columns(tmp_path / "columns.csv")
    scores = analyze.scores(found, read_columns(scene / "truth.csv"), radius=4.0)
    assert scores.f1 > 0.9
    assert scores.median < 0.5
    assert found.attrs["model"] == "stem-hr"
    assert found.attrs["sampling"] == pytest.approx(SAMPLING, rel=1e-6)
    np.testing.assert_allclose(found["y_angstrom"], found["y"] * found.attrs["sampling"])
    assert f"{len(found)} columns" in done.stdout


def test_segment_gives_a_label_to_each_column(scene: Path, tmp_path: Path) -> None:
    run(tmp_path, "segment", scene / "pt.tif", "-o", "labels.tif")
    labels = read_image(tmp_path / "labels.tif")
    truth = read_columns(scene / "truth.csv")
    inner = truth[truth["y"].between(8, 151) & truth["x"].between(8, 183)]
    under = labels.data[inner["y"].round().astype(int), inner["x"].round().astype(int)]
    assert np.mean(under > 0) > 0.9
    assert len(np.unique(under[under > 0])) == np.count_nonzero(under)
    assert labels.sampling == pytest.approx(SAMPLING, rel=1e-6)


def test_peaks_need_no_model(scene: Path, tmp_path: Path) -> None:
    run(tmp_path, "localize", scene / "pt.tif", "-o", "a.csv", "--detector", "peaks")
    table = read_columns(tmp_path / "a.csv")
    assert table.attrs["detector"] == "peaks"
    assert "model" not in table.attrs
    assert analyze.scores(table, read_columns(scene / "truth.csv"), radius=4.0).recall > 0.8


@pytest.mark.slow
def test_folder_is_worked_through_and_a_broken_image_is_named(images: Path, tmp_path: Path) -> None:
    done = run_process(tmp_path, "localize", images, "-o", "tables", "--detector", "peaks", code=1)
    assert files_in(tmp_path) == ["tables/a-columns.csv", "tables/b-columns.csv"]
    assert "c.png" in done.stderr
    assert done.stderr.count("error:") == 1
    assert read_columns(tmp_path / "tables/a-columns.csv").attrs["sampling"] is not None
    assert read_columns(tmp_path / "tables/b-columns.csv").attrs["sampling"] is None


def test_sampling_can_be_given_where_the_file_has_none(images: Path, tmp_path: Path) -> None:
    run(
        tmp_path,
        *("localize", images / "b.png", "-o", "b.csv", "--detector", "peaks", "--sampling", 0.2),
    )
    table = read_columns(tmp_path / "b.csv")
    np.testing.assert_allclose(table["x_angstrom"], 0.2 * table["x"])


def test_result_goes_beside_the_image_by_default(images: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes((images / "b.png").read_bytes())
    run(tmp_path, "localize", copy, "--detector", "peaks")
    assert files_in(tmp_path) == ["copy-columns.csv", "copy.png"]


def test_result_never_overwrites_an_image(images: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.tif"
    copy.write_bytes((images / "a.tif").read_bytes())
    assert "overwrite" in fails(tmp_path, "restore", copy, "-o", copy)
    assert copy.read_bytes() == (images / "a.tif").read_bytes()


def test_two_results_in_one_file_are_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.tif").write_bytes((images / "a.tif").read_bytes())
    line = fails(tmp_path, "localize", images / "a.tif", "other/a.tif", "-o", "out")
    assert "a-columns.csv" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "Unobtainium", "-o", "x.tif"], "Unobtainium"),
        (["simulate", "Pt", "-o", "x.tif", "--dose", "-1"], "dose"),
        (["simulate", "Pt", "-o", "absent/x.tif", "--shape", "32", "32"], "absent"),
        (["restore", "absent.tif", "-o", "x.tif"], r"absent\.tif: no such file"),
        (["restore", "{image}", "-o", "x.tif", "--task", "paint"], "paint.*superresolution"),
        (["restore", "{image}", "-o", "x.tif", "--model", "best"], "best.*stem-hr"),
        (["restore", "{image}", "-o", "x.tif", "--model", "{image}.safetensors"], "safetensors"),
        (["restore", "{image}", "-o", "x.tif", "--device", "abacus"], "abacus"),
        (["localize", "{image}", "-o", "x.csv", "--refine", "guess"], "guess.*gaussian"),
        (["segment", "{image}", "-o", "x.tif", "--contrast", "grey"], "grey.*bright"),
        (["train", "absent.yaml", "-o", "x.safetensors"], r"absent\.yaml"),
        (["demo", "absent.tif", "--no-window"], r"absent\.tif"),
    ],
)
def test_error_is_one_line_and_leaves_nothing(
    images: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = [argument.format(image=images / "a.tif") for argument in arguments]
    assert re.search(message, fails(tmp_path, *given))
    assert files_in(tmp_path) == []


def test_recipe_with_a_wrong_value_is_explained(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("steps: -3\n")
    assert "steps" in fails(tmp_path, "train", "wrong.yaml")
    assert files_in(tmp_path) == ["wrong.yaml"]


@pytest.mark.slow
def test_training_resumes_and_its_weights_restore(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    first = run(tmp_path, "train", "small.yaml", "-o", "small.safetensors", "--device", "cpu")
    assert first.stderr.count("validation_loss") == 2
    longer = RECIPE.replace("steps: 6", "steps: 9")
    (tmp_path / "small.yaml").write_text(longer)
    again = run(tmp_path, "train", "small.yaml", "-o", "small.safetensors", "--device", "cpu")
    assert again.stderr.count("validation_loss") == 1
    anew = run(tmp_path, "train", "small.yaml", "-o", "small.safetensors", "--no-resume")
    assert anew.stderr.count("validation_loss") == 3
    run(
        tmp_path,
        *("restore", scene / "pt.tif", "-o", "with-small.tif", "--model", "small.safetensors"),
    )
    record = read_image(tmp_path / "with-small.tif").metadata["provenance"]
    assert record["model"] == "small"


def test_interrupt_cancels_and_leaves_no_weights(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(RECIPE.replace("steps: 6", "steps: 100000"))
    watcher = threading.Thread(target=interrupt_when, args=(tmp_path / "long.csv",))
    watcher.start()
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(app, ["train", "long.yaml", "-o", "long.safetensors"])
    watcher.join()
    assert done.exit_code == 130
    assert done.stderr.strip().endswith("cancelled")
    assert files_in(tmp_path) == ["long.checkpoint", "long.csv", "long.yaml"]


def interrupt_when(path: Path, seconds: float = 120.0) -> None:
    """Do as Ctrl-C does once the file is there, or after too long a time."""
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    _thread.interrupt_main()


def test_models_lists_the_shipped_model_and_own_ones(tmp_path: Path) -> None:
    listing = run(tmp_path, "models").stdout
    assert re.search(r"^stem-hr .*bundled", listing, re.MULTILINE)
    assert "superresolution" in listing
    assert run(tmp_path, "models", "list").stdout == listing


@pytest.mark.slow
def test_models_are_shown_imported_and_removed(tmp_path: Path) -> None:
    from napari_atomseg.networks.files import load_weights, save_weights
    from napari_atomseg.weights import resolve

    network, card = load_weights(resolve())
    save_weights(tmp_path / "mine.safetensors", network, card.model_copy(update={"name": "mine"}))
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04.")

    def models(*arguments: str, code: int = 0) -> str:
        cache = str(tmp_path / "cache")
        done = run(tmp_path, "models", *arguments, code=code, NAPARI_ATOMSEG_CACHE=cache)
        return done.stdout + done.stderr

    files = ("mine.safetensors", "pickle.safetensors")
    said = models("import", *files, code=1)
    kept = tmp_path / "cache" / "models" / "mine.safetensors"
    assert f"mine.safetensors → {kept}" in said
    assert "pickle.safetensors: not a safetensors file" in said
    assert re.search(r"Network: .*parameters", models("show", "mine"))
    assert "stem-hr.safetensors" in models("download", "--all")
    copy = tmp_path / "copy.safetensors"
    assert str(copy) in models("export", "mine", "-o", str(copy))
    assert copy.read_bytes() == kept.read_bytes()
    assert "choose one of weights, onnx, bioimageio" in models(
        "export", "mine", "--format", "pickle", code=1
    )
    said = models("remove", "mine", "stem-hr", code=1)
    assert "removed mine" in said
    assert "comes with the package" in said
    assert not kept.exists()


@pytest.mark.slow
def test_demo_scores_itself_and_writes_figure_and_table(tmp_path: Path) -> None:
    lines = run(tmp_path, "demo", "--no-window", "-o", "out").stdout
    before, after = map(float, re.findall(r"([\d.]+) dB", lines))
    assert after > before + 5
    assert float(re.search(r"F1 ([\d.]+)", lines)[1]) > 0.9
    assert float(re.search(r"= ([\d.]+) pm", lines)[1]) < 20
    figure, table = (
        tmp_path / re.search(rf"{kind}: +(.*)", lines)[1] for kind in ("figure", "table")
    )
    assert imageio.imread(figure).std() > 10
    assert f"{len(read_columns(table))} columns" in lines


@pytest.mark.slow
def test_demo_takes_an_image_without_truth(images: Path, tmp_path: Path) -> None:
    lines = run(tmp_path, "demo", images / "b.png", "--no-window").stdout
    assert "sampling unknown" in lines
    assert "PSNR" not in lines
    assert files_in(tmp_path / "demo") == ["b-columns.csv", "b-figure.png"]


@pytest.mark.slow
def test_help_is_quick_and_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from napari_atomseg.cli import app;"
        "assert CliRunner().invoke(app, ['restore', '--help']).exit_code == 0;"
        "print(sorted({'torch', 'napari', 'qtpy', 'pandas', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "[]"


def test_version_is_printed(tmp_path: Path) -> None:
    done = run_process(tmp_path, "--version")
    assert done.stdout.strip() == f"napari-atomseg {metadata.version('napari-atomseg')}"


def test_no_help_has_what_is_taken_for_markup_and_not_shown() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    helps = [getattr(p, "help", None) for each in commands.values() for p in each.params]
    assert len(helps) > 30
    assert not [text for text in helps if text and "[" in text]


@pytest.mark.slow
def test_scan_writes_image_table_and_plot_of_the_call(scene: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "scan", scene / "pt.tif", "--scan", "rows", "-o", "still.tif")
    image = read_image(scene / "pt.tif")
    made = correct_scan(image.data, "rows", sampling=image.sampling)
    still = read_image(tmp_path / "still.tif")
    np.testing.assert_allclose(still.data, made.image, rtol=1e-5)
    assert still.sampling == pytest.approx(SAMPLING, rel=1e-6)
    assert still.metadata["provenance"]["model"] == "scan-lines"
    lines = pd.read_csv(tmp_path / "still.csv")
    assert list(lines) == list(made.lines)
    np.testing.assert_allclose(lines["shift_x_pm"], made.lines["shift_x_pm"])
    assert imageio.imread(tmp_path / "still.png").ndim == 3
    assert "scan lines (rows) were put back" in done.output


@pytest.mark.slow
def test_restore_and_localize_take_scan_lines(scene: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "restore", scene / "pt.tif", "--scan", "rows", "-o", "restored.tif")
    assert "scan lines (rows)" in done.output
    restored = read_image(tmp_path / "restored.tif")
    assert restored.metadata["provenance"]["settings"]["scan"] == "rows"
    run(tmp_path, "localize", scene / "pt.tif", "--scan", "auto", "-o", "columns.csv")
    assert {"scan_y", "scan_x"} <= set(read_columns(tmp_path / "columns.csv"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows do not break")
def test_output_that_nobody_reads_ends_a_command_without_a_word() -> None:
    command = [sys.executable, "-m", "napari_atomseg", "models", "list"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.slow
def test_align_writes_what_the_call_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(12, 12))
    field = 5.0 * np.kron(seen, np.ones((8, 8)))
    field = ndimage.gaussian_filter(field, 2.0)
    stack = np.stack([field[4 + k : 68 + k, 8:72] for k in range(3)])
    stack = (100 + 20 * stack + rng.normal(0, 2, stack.shape)).astype(np.float32)
    write_image(tmp_path / "stack.tif", stack)
    done = run(tmp_path, "align", "stack.tif", "--sampling", "0.2", "0.1", "-o", "mean.tif")
    made = align(stack, sampling=(0.2, 0.1))
    assert "3 frames were laid on each other" in done.stdout
    mean = read_image(tmp_path / "mean.tif")
    np.testing.assert_allclose(mean.data, made.average, rtol=1e-5)
    assert mean.sampling == pytest.approx((0.2, 0.1), rel=1e-5)
    assert mean.metadata["provenance"]["noise_correlation"] == made.record()["noise_correlation"]
    for ending, data in (("-error", made.standard_error), ("-frames", made.frames)):
        beside = read_image(tmp_path / f"mean{ending}.tif")
        np.testing.assert_allclose(beside.data, data, rtol=1e-5, equal_nan=True)
    table = pd.read_csv(tmp_path / "mean.csv")
    np.testing.assert_allclose(table["shift_y"], made.shifts["shift_y"])
    assert (tmp_path / "mean.png").stat().st_size > 1_000
    for number, frame in enumerate(stack):
        write_image(tmp_path / f"{number}.tif", frame)
    run(tmp_path, "align", "0.tif", "1.tif", "2.tif", "--together", "--aligned", "-o", "same.tif")
    same = read_image(tmp_path / "same.tif")
    np.testing.assert_allclose(same.data, mean.data, rtol=1e-5)
    assert read_image(tmp_path / "same-aligned.tif").data.shape == stack.shape


def test_align_refuses_what_are_no_frames_of_one_field(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).poisson(50, (32, 32)).astype(np.uint16)
    for name, pixel in (("a", 0.15), ("b", 0.2)):
        write_image(tmp_path / f"{name}.tif", frame, sampling=pixel)
    done = run(tmp_path, "align", "a.tif", "b.tif", "--together", "-o", "x.tif", code=1)
    assert "different sizes (a: 0.15" in done.stderr
    assert "--sampling" in done.stderr
    tifffile.imwrite(
        tmp_path / "c.tif", np.stack([frame, frame]), imagej=True, metadata={"axes": "CYX"}
    )
    done = run(tmp_path, "align", "c.tif", "-o", "x.tif", code=1)
    assert "detectors" in done.stderr
    assert not (tmp_path / "x.tif").exists()


def test_calibrate_writes_the_sampling_that_it_finds(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(100, 10, (128, 128)).round().clip(1, 254)
    image[112:], image[118:122, 20:70] = 0, 255
    write_image(tmp_path / "bar.tif", image.astype(np.uint8))
    done = run(tmp_path, "calibrate", "bar.tif", "--by", "bar", "--length", 2, "-o", "out.tif")
    assert "50 ± 1 px" in done.stdout
    out = read_image(tmp_path / "out.tif")
    assert out.sampling == pytest.approx(0.4, rel=1e-5)
    np.testing.assert_array_equal(out.data, image)
    done = run(tmp_path, "calibrate", "bar.tif", "--pixel", "20 10", "--unit", "pm", "-o", "p.tif")
    assert read_image(tmp_path / "p.tif").sampling == pytest.approx((0.2, 0.1), rel=1e-5)
    done = run(
        tmp_path, "calibrate", "bar.tif", "--by", "line", "--line", 0, 0, 0, 25, "--length", 1
    )
    assert "0.4 Å/px" in done.stdout
    done = run(tmp_path, "calibrate", "bar.tif", "--shear", "-o", "x.tif", code=1)
    assert "--by crystal" in done.stderr


@pytest.mark.slow
def test_one_or_two_numbers_are_a_sampling(scene: Path, tmp_path: Path) -> None:
    for given, found in ((("0.2", "0.1"), (0.2, 0.1)), (("0.2",), 0.2), (("0.2,0.1",), (0.2, 0.1))):
        run(
            tmp_path, "localize", scene / "pt.tif", "--detector", "peaks", "--sensitivity", 0,
            "--sampling", *given, "-o", "columns.csv",
        )  # fmt: skip
        table = read_columns(tmp_path / "columns.csv")
        assert table.attrs["sampling"] == pytest.approx(found)
    done = run(tmp_path, "localize", scene / "pt.tif", "--sampling", "-1", code=2)
    assert "positive" in done.stderr


def test_convert_overwrites_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y;x;remark\n10,5;20,25;mine\n", encoding="utf-8")
    written = (tmp_path / "a.csv").read_bytes()
    done = run(tmp_path, "columns", "convert", "a.csv", "a.csv", code=1)
    assert "would overwrite a.csv" in done.stderr
    assert (tmp_path / "a.csv").read_bytes() == written
    done = run(tmp_path, "measure", "lattice", "a.csv", "-o", "a.csv", code=1)
    assert "would overwrite a.csv" in done.stderr
    write_image(tmp_path / "a.h5", np.eye(16), sampling=0.2)
    done = run(tmp_path, "columns", "convert", "a.csv", "a.h5", "--image", "a.h5", code=1)
    assert "would overwrite a.h5" in done.stderr
    done = run(tmp_path, "images", "convert", "a.h5", "new/folder/a.tif")
    assert read_image(tmp_path / "new" / "folder" / "a.tif").sampling == pytest.approx(0.2)
