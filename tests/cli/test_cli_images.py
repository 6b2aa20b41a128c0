"""Folders of images on the command line: train, go on, measure, predict, draw."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearprop.cli.choices import IMAGE_CHANGES, Choices, Recipe, Source
from clearprop.cli.defaults import sized
from clearprop.data import load
from clearprop.model import Run
from clearprop.model import load as load_model

SMALL = ("--layers", "8", "--epochs", "2", "--progress", "quiet", "--validation", "0.2")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The first 300 handwritten digits as PNG files, by class."""
    folder = tmp_path_factory.mktemp("images") / "digits"
    found = load("digits")
    for i in range(300):
        path = folder / str(found.target[i]) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((found.features[i].reshape(8, 8) * 15).astype(np.uint8)).save(path)
    return folder


def test_training_learns_from_files(call, digits):
    result = call(
        "train", digits, "--epochs", "40", "--lr", "0.01", "--l2", "0", "--scaling", "pixel", "--progress", "plain"
    )
    assert "digits: 300 rows, samples of shape (8, 8, 1)" in result.stderr
    assert "images of 8 x 8 pixels, grey" in result.stderr
    assert "features: x / 255, each pixel standardised" in result.stderr
    assert json.loads(Path("runs/digits-1/results.json").read_text())["test"]["accuracy"] > 0.85


def test_a_run_can_be_used(call, digits, tmp_path):
    call("train", digits, *SMALL, "--size", "8x6", "--resize", "crop", "--scaling", "zca", "--augment", "flip,shift")
    run = "runs/digits-1"
    own = call("evaluate", run).stdout
    assert own.startswith("test (60 rows)")
    assert call("evaluate", run, digits).stdout.startswith("digits (300 rows)")
    rows = list(csv.DictReader(io.StringIO(call("predict", run, digits, "--probabilities").stdout)))
    assert [row["file"] for row in rows[:2]] == ["0/000.png", "0/010.png"]
    assert len(rows) == 300
    assert len(rows[0]) == 12
    (one,) = csv.DictReader(io.StringIO(call("predict", run, digits / "3" / "003.png").stdout))
    assert one["prediction"] == next(row["prediction"] for row in rows if row["file"] == "3/003.png")
    model = load_model(run)
    assert model.encoding is not None
    assert model.encoding.form is not None
    assert model.encoding.form.shape == (8, 6, 1)
    call("train", "--resume", run, "--progress", "quiet")
    assert "digits" in call("runs").stdout


def test_other_sizes_are_brought_to_that_of_training(call, digits, tmp_path):
    call("train", digits, *SMALL)
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(tmp_path / "large.png")
    result = call("predict", "runs/digits-1", "large.png")
    assert "1 of another size: stretch" in result.stderr
    assert result.stdout.startswith("file,prediction\nlarge.png,")


def test_bad_images(call, digits, tmp_path):
    folder = tmp_path / "some"
    for name in ("0", "1"):
        (folder / name).mkdir(parents=True)
        for path in sorted((digits / name).iterdir())[:12]:
            (folder / name / path.name).write_bytes(path.read_bytes())
    (folder / "0" / "broken.png").write_bytes(b"no image")
    error = call("train", folder, *SMALL, status=2).stderr
    assert "0/broken.png: it is no image of a known format" in error
    assert "--bad-images skip" in error
    assert not Path("runs").exists()
    assert (
        "left out: 1 images"
        in call("train", folder, "--epochs", "2", "--bad-images", "skip", "--progress", "plain").stderr
    )
    assert call("predict", "runs/some-1", folder, status=2).stdout == ""
    assert len(call("predict", "runs/some-1", folder, "--bad-images", "skip").stdout.splitlines()) == 25


@pytest.fixture
def parts(digits, tmp_path) -> Path:
    """A small folder of images with a test and a validation part of its own."""
    folder = tmp_path / "set"
    for part, count in {"train": 10, "test": 4, "validation": 3}.items():
        for name in ("0", "1"):
            (folder / part / name).mkdir(parents=True)
            for path in sorted((digits / name).iterdir())[:count]:
                (folder / part / name / path.name).write_bytes(path.read_bytes())
    return folder


def kept(run: str) -> tuple[Choices, dict[str, int]]:
    """The choices of a run, and the number of samples in its results."""
    return Recipe.of(Run(run)).choices, json.loads(Path(run, "results.json").read_text())["samples"]


def test_parts_of_a_folder(call, parts):
    result = call("train", parts, "--epochs", "2", "--progress", "plain")
    assert "rows: 20 train, 6 validation, 8 test" in result.stderr
    choices, samples = kept("runs/set-1")
    assert choices.validation == pytest.approx(6 / 26)
    assert choices.patience == sized(26).patience
    assert samples == {"train": 20, "validation": 6, "test": 8}
    figures = Path("runs/set-1/results.json").read_bytes()
    assert "has ended already" in call("train", "--resume", "runs/set-1").stderr
    assert Path("runs/set-1/results.json").read_bytes() == figures


def test_a_validation_part_that_is_not_wanted(call, parts):
    """So look the settings of an earlier version's run too, whatever it was: it is measured as it was then."""
    result = call("train", parts, "--epochs", "2", "--validation", "0", "--progress", "plain")
    assert "rows: 20 train, 8 test" in result.stderr
    choices, samples = kept("runs/set-1")
    assert (choices.validation, choices.patience) == (0.0, None)
    assert samples == {"train": 20, "validation": 0, "test": 8}
    assert call("evaluate", "runs/set-1").stdout.startswith("test (8 rows)")


def test_fractions_beside_parts_of_its_own_are_refused(call, parts):
    """They held nothing out, without a word; what the settings keep of the own part's share is no such fraction."""
    for option, samples in (("--validation", 6), ("--test", 8)):
        words = call("train", parts, option, "0.3", "--epochs", "2", status=2).stderr
        assert f"has a {option[2:]} part of its own, with {samples} samples, so that {option} 0.3 would" in words
        assert f"leave it out, or do without the part by {option} 0" in words
    assert not Path("runs").exists()
    result = call("train", parts, "--test", "0", "--epochs", "2", "--progress", "plain")
    assert "rows: 20 train, 6 validation" in result.stderr
    call("train", "--resume", "runs/set-1")
    shutil.rmtree(parts / "validation")
    result = call("train", parts, "--validation", "0.2", "--epochs", "2", "--progress", "plain")
    assert "rows: 16 train, 4 validation, 8 test" in result.stderr


def test_the_own_validation_part_is_watched(call, parts):
    options = ("--arch", "mlp", "--layers", "4", "--progress", "quiet")
    call("train", parts, *options, "--schedule", "reduce_on_plateau", "--patience", "1", "--lr", "1", "--l2", "0")
    assert load_model("runs/set-1").schedule.watched == ("val_loss",)
    assert Run("runs/set-1").history().reason == "early stopping"


def test_a_large_set_gives_the_same_bits_from_files(call, digits):
    call("train", digits, *SMALL, "--scaling", "channel", "--out", "held")
    call("train", digits, *SMALL, "--scaling", "channel", "--memory", "0", "--out", "mapped")
    held, mapped = load_model("held").parameters, load_model("mapped").parameters
    for name, array in held.items():
        np.testing.assert_array_equal(array, mapped[name])


def test_the_same_seed_gives_the_same_bits(call, digits):
    options = ("--layers", "8", "--epochs", "3", "--progress", "quiet", "--augment", "affine,cutout,noise,mixup")
    call("train", digits, *options, "--out", "whole")
    recipe = Recipe.of(Run("whole"))
    assert recipe.choices.augment == ("affine", "cutout", "noise", "mixup")
    assert recipe.source == Source(str(digits))
    call("train", digits, *options, "--out", "again")
    for name, array in load_model("whole").parameters.items():
        np.testing.assert_array_equal(array, load_model("again").parameters[name])


@pytest.mark.parametrize("name", IMAGE_CHANGES)
def test_every_augmentation(call, tmp_path, name):
    for label in ("a", "b"):
        for i in range(8):
            path = tmp_path / "set" / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(path)
    call("train", "set", "--epochs", "1", "--progress", "quiet", "--augment", name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--augment", "blur"), "it is a list of names among flip, shift"),
        (("--augment", "fancy_pca"), "changes colours, and the images have none"),
        (("--size", "8x"), "each from 1 to 8192, received '8x'"),
        (("--size", "99999"), "each from 1 to 8192, received '99999'"),
        (("--layout", "NCHW"), "layout NCHW is one of arrays"),
    ],
)
def test_wrong_options(call, digits, tmp_path, options, message):
    if "fancy_pca" in options:
        options = (*options, "--color", "grey")
        np.savez(tmp_path / "grey.npz", X=np.random.default_rng(0).random((20, 4, 4)), y=np.arange(20) % 2)
        digits = tmp_path / "grey.npz"
    assert message in call("train", digits, *options, status=2).stderr


def test_augmentation_is_for_images(call):
    assert "iris is learnt as a table" in call("train", "iris", "--augment", "flip", status=2).stderr
    np.savez("rows.npz", X=np.random.default_rng(0).normal(size=(40, 4)), y=np.arange(40) % 2)
    error = call("train", "rows.npz", "--augment", "flip", status=2).stderr
    assert "--augment changes images, and the samples have shape (4,): leave it out" in error


def test_runs_of_earlier_versions_are_read(call, digits):
    call("train", digits, *SMALL)
    settings = Path("runs/digits-1/settings.json")
    content = json.loads(settings.read_text())
    for name in ("size", "resize", "color", "bad_images", "memory", "layout"):
        del content["command"]["source"][name]
    for name in ("scaling", "epsilon", "augment"):
        del content["command"]["choices"][name]
    settings.write_text(json.dumps(content))
    assert call("evaluate", "runs/digits-1").stdout.startswith("test (60 rows)")


def test_pictures(call, digits):
    call("train", digits, *SMALL, "--augment", "flip", "--show-batch", "batch.png")
    result = call("pictures", "runs/digits-1")
    assert result.stdout.split()[:4] == ["actual", "taken", "for", "times"]
    assert "no maps.png: no layer gives maps" in result.stderr
    drawn = sorted(path.name for path in Path("runs/digits-1/pictures").iterdir())
    assert drawn == ["confusion.png", "filters.png", "mistakes.png"]
    assert "'nope'" in call("pictures", "runs/digits-1", "--layer", "nope", "-o", "none", status=2).stderr
    assert not Path("none").exists()
    call("pictures", "runs/digits-1", digits, "-o", "more")
    for path in (Path("batch.png"), *Path("more").iterdir()):
        with Image.open(path) as image:
            assert min(image.size) > 500


def test_pictures_are_of_images(call):
    call("train", "iris", "--epochs", "1", "--progress", "quiet")
    assert "the samples are rows of a table" in call("pictures", "runs/iris-1", status=2).stderr
