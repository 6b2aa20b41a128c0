"""Training that starts from a trained network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from clearprop.cli.choices import Choices, Recipe
from clearprop.cli.defaults import complete
from clearprop.errors import SettingsError
from clearprop.model import Run, load
from clearprop.optim import ParameterGroups
from clearprop.randomness import Key

NETWORK = """
[[layer]]
type = "Conv2D"
filters = 3
kernel = 3

[[layer]]
type = "BatchNorm"

[[layer]]
type = "Flatten"
"""
QUICK = ("--epochs", "1", "--progress", "quiet")
HEAD = ("dense1.W", "dense1.b")


def write_images(path: Path, names: list[object], scale: int = 1, size: int = 8) -> None:
    """Grey bytes; each class is brighter elsewhere."""
    rng = np.random.default_rng(len(names))
    y = np.arange(40) % len(names)
    x = rng.integers(0, 100, (40, size, size)) // scale
    x[np.arange(40), y] += 100 // scale
    np.savez(path, X=x.astype(np.uint8), y=np.asarray(names)[y])


@pytest.fixture
def trained(call, tmp_path) -> str:
    (tmp_path / "net.toml").write_text(NETWORK)
    write_images(tmp_path / "many.npz", [0, 1])
    call("train", "many.npz", "--network", "net.toml", "--out", "first", "--augment", "shift", *QUICK)
    return "first"


def test_a_new_head_on_layers_that_stay(call, trained):
    """Its body has the trained numbers where it is frozen, its inputs are scaled as then, its head is new."""
    write_images(Path("few.npz"), ["a", "b", "c"], scale=5)
    text = call("train", "few.npz", "--start-from", trained, "--new-head", "--freeze", "conv2d1.*,batch*",
                "--epochs", "2", "--out", "second", "--progress", "plain").stderr  # fmt: skip
    assert "network: the layers of " in text
    before, after = load(trained), load("second")
    assert [type(layer).__name__ for layer in after.network.layers] == ["Conv2D", "BatchNorm", "Flatten", "Dense"]
    assert after.frozen == ("conv2d1.*", "batch*")
    for name, array in after.parameters.items():
        if name in HEAD:
            assert array.shape[-1] == 3
        else:
            np.testing.assert_array_equal(array, before.parameters[name])
    assert after.encoding.inputs == before.encoding.inputs
    assert list(after.encoding.classes) == ["a", "b", "c"]
    assert len(call("predict", "second", "few.npz").stdout.splitlines()) == 41
    call("evaluate", "second")


def test_a_new_head_does_not_start_where_the_old_one_did(call, trained):
    """With the same seed, too: the layers below have grown to that."""
    call("train", "many.npz", "--start-from", trained, "--new-head", "--lr", "1e-30", "--out", "second", *QUICK)
    before, after = load(trained), load("second")
    first = before.network.init(Key(before.seed), before.sample_shape)
    name = next(name for name in HEAD if name.endswith("W"))
    assert before.seed == after.seed
    assert abs(np.corrcoef(first[name].ravel(), after.parameters[name].ravel())[0, 1]) < 0.5


def test_all_layers_go_on(call, trained):
    """With the classes that were learnt the head stays; a rate of nothing but rounding changes next to nothing."""
    call("train", "many.npz", "--start-from", trained, "--lr", "1e-30", "--out", "second", *QUICK)
    before, after = load(trained), load("second")
    for name in set(before.parameters) - set(after.averages):
        np.testing.assert_array_equal(after.parameters[name], before.parameters[name])


def test_rates_of_their_own(call, trained):
    """Layers with a tiny rate keep their numbers, others do not."""
    options = ("--start-from", trained, "--rates", "conv2d*=1e-30,batchnorm1.*=0.001", "--out", "second")
    call("train", "many.npz", *options, *QUICK)
    before, after = load(trained), load("second")
    assert isinstance(after.optimizer, ParameterGroups)
    np.testing.assert_array_equal(after.parameters["conv2d1.W"], before.parameters["conv2d1.W"])
    assert (after.parameters["dense1.W"] != before.parameters["dense1.W"]).any()
    assert Recipe.of(Run("second")).choices.groups == [("conv2d*", 1e-30), ("batchnorm1.*", 0.001)]


def test_a_run_goes_on_from_where_it_was_stopped(call, trained):
    """Resumed before its first checkpoint, from another folder, it gives the same bits."""
    options = ("--start-from", "../first", "--freeze", "conv2d1.W", "--rates", "conv2d1.b=0.0001")
    Path("inside").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("inside")
        call("train", "../many.npz", *options, "--out", "../second", *QUICK)
    shutil.copytree("second", "again")
    for name in ("model.safetensors", "history.json", "checkpoint.safetensors"):
        (Path("again") / name).unlink(missing_ok=True)
    call("train", "--resume", "again", "--progress", "quiet")
    expected, got = load("second"), load("again")
    for name, array in expected.parameters.items():
        np.testing.assert_array_equal(got.parameters[name], array)
    shutil.rmtree("first")
    assert "is not there: put it back" in call("train", "--resume", "again", status=2).stderr


def test_folders_of_images_come_in_the_size_of_training(call, trained, tmp_path):
    image = pytest.importorskip("PIL.Image")
    for size, name in ((12, "small"), (20, "large")):
        for number in range(20):
            folder = tmp_path / name / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.full((size, size), 100 * (number % 2) + number, np.uint8)
            image.fromarray(pixels).save(folder / f"{number}.png")
    call("train", "small", "--arch", "cnn", "--out", "one", *QUICK)
    call("train", "large", "--start-from", "one", "--out", "two", *QUICK)
    assert load("two").sample_shape == (12, 12, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start-from", "first", "--arch", "cnn"), "--start-from RUN has layers of its own: leave out --arch"),
        (("--start-from", "first", "--network", "net.toml"), "leave out --network"),
        (("--start-from", "nosuch"), "'nosuch' does not exist"),
        (("--start-from", "first"), "--new-head replaces it"),
        (("--new-head",), "name it with --start-from RUN"),
        (("--start-from", "first", "--new-head", "--freeze", "conv9*"), "'conv9\\*' of frozen parameters matches none"),
        (("--start-from", "first", "--new-head", "--rates", "conv9*=0.1"), "the group 'conv9\\*' matches none"),
        (("--rates", "conv2d1"), "is a list of PATTERN=RATE"),
        (("--rates", "conv2d1=-1"), "is a list of PATTERN=RATE"),
        (("--start-from", "first", "--loss", "focal", "--new-head", "--optimizer", "lbfgs", "--rates", "a=1"),
         "finds its own steps: leave out --rates"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, trained, options, message):
    """Before a run's folder is made."""
    write_images(Path("few.npz"), ["a", "b", "c"])
    text = " ".join(call("train", "few.npz", *options, "--out", "second", *QUICK, status=2).stderr.split())
    assert message.replace("\\", "") in text
    assert not Path("second").exists()


def test_a_size_that_does_not_fit_is_refused(call, trained):
    write_images(Path("large.npz"), [0, 1], size=10)
    text = call("train", "large.npz", "--start-from", trained, "--out", "second", *QUICK, status=2).stderr
    assert "shape" in text


def test_text_has_no_use_for_it(call, trained):
    Path("novel.txt").write_text("a long story " * 100)
    assert "leave out --start-from" in call("train", "novel.txt", "--start-from", trained, status=2).stderr


def test_a_trained_network_keeps_its_layers():
    with pytest.raises(SettingsError, match="leave out --layers, --activation, --dropout"):
        complete(Choices(start_from="run", layers=(3,), activation="tanh", dropout=0.5), "classification", 100)
