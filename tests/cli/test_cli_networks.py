"""Which network the command line trains: by the data, by name, by a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clearprop.cli.choices import DENSE, Choices, Recipe
from clearprop.cli.defaults import complete, sized
from clearprop.cli.network_file import read_network
from clearprop.errors import SettingsError
from clearprop.model import Run, load
from clearprop.nn import ARCHITECTURES, L1, L2, Conv2D, Dense, Dropout, Layer, Residual, Sequential

QUICK = ("--epochs", "1", "--progress", "quiet", "--out", "run")
FILE = """
[[layer]]
type = "Conv2D"
filters = 3
kernel = 3
activation = "tanh"
penalty = [{type = "L1", factor = 0.01}]

[[layer]]
type = "Residual"
layer = {type = "Conv2D", filters = 3, kernel = 3, padding = "same"}

[[layer]]
type = "Flatten"
"""


@pytest.fixture
def images(tmp_path) -> Path:
    """Grey bytes of 16 by 16: class 1 is brighter on its left."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.integers(0, 150, (60, 16, 16))
    x[y == 1, :, :8] += 100
    path = tmp_path / "images.npz"
    np.savez(path, X=x.astype(np.uint8), y=y)
    return path


def hidden(path: str = "run") -> tuple[Layer, ...]:
    return load(path).network.layers


def kinds(layers: tuple[Layer, ...]) -> list[type]:
    return [type(layer) for layer in layers]


def test_images_get_a_convolutional_network(call, images):
    text = call("train", images, "--epochs", "24", "--out", "run", "--progress", "plain").stderr
    assert "network: 16x16-vgg-small-2," in text
    assert text.count("up to 24 epochs, l2 0.001\n") == 1
    assert kinds(hidden()) == kinds(ARCHITECTURES["vgg-small"](2).layers)
    choices = Recipe.of(Run("run")).choices
    assert (choices.arch, choices.layers, choices.batch_size) == ("vgg-small", None, 32)
    assert json.loads(Path("run/results.json").read_text())["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("options", [("--layers", "5"), ("--arch", "mlp"), ("--arch", "mlp", "--layers", "none")])
def test_a_dense_network_on_images(call, images, options):
    call("train", images, *QUICK, *options)
    assert not any(isinstance(layer, Conv2D) for layer in hidden())
    assert Recipe.of(Run("run")).choices.arch == DENSE


@pytest.mark.parametrize(
    ("shape", "dtype", "found"),
    [
        ((9, 30), np.uint8, "mlp"),
        ((10, 10), np.uint8, "vgg-small"),
        ((10, 10, 3), np.uint8, "vgg-small"),
        ((16, 16), np.float32, "mlp"),
        ((70, 20), np.uint8, "resnet-small"),
        ((100,), np.uint8, "mlp"),
    ],
)
def test_what_suits(call, tmp_path, shape, dtype, found):
    x = np.random.default_rng(0).integers(0, 255, (20, *shape)).astype(dtype)
    np.savez(tmp_path / "some.npz", X=x, y=np.arange(20) % 2)
    call("train", "some.npz", *QUICK)
    assert Recipe.of(Run("run")).choices.arch == found


def test_scaled_numbers_are_images_and_whitened_ones_are_not(call, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 12, 12))
    np.savez(tmp_path / "some.npz", X=x, y=np.arange(20) % 2)
    for scaling, found in (("pixel", "vgg-small"), ("pca", "mlp")):
        call("train", "some.npz", *QUICK[:4], "--scaling", scaling, "--out", scaling)
        assert Recipe.of(Run(scaling)).choices.arch == found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(call, images, name):
    call("train", images, *QUICK, "--arch", name, "--dropout", "0.25", "--l1", "0.001", "--l2", "0.01")
    wanted, layers = ARCHITECTURES[name](2).layers, hidden()
    assert kinds(layers) == [*kinds(wanted[:-1]), Dropout, Dense]
    penalised = list(with_penalty(layers))
    assert len(penalised) == len(list(with_penalty(wanted)))
    assert all(layer.penalty == (L1(0.001), L2(0.01)) for layer in penalised)
    call("train", "--resume", "run", "--progress", "quiet")
    assert call("predict", "run", images).stdout.startswith("prediction\n")


def with_penalty(layers):
    for layer in layers:
        if isinstance(layer, Sequential):
            yield from with_penalty(layer.layers)
        elif isinstance(layer, Residual):
            yield from with_penalty([layer.layer, *([layer.shortcut] if layer.shortcut else [])])
        elif isinstance(layer, (Conv2D, Dense)):
            yield layer


def test_a_described_network(call, images, tmp_path):
    (tmp_path / "net.toml").write_text(FILE)
    text = call("train", images, "--epochs", "2", "--out", "run", "--network", "net.toml", "--l2", "0.1").stderr
    assert "network: 16x16-3 layers-2," in text
    (tmp_path / "net.toml").unlink()
    call("train", "--resume", "run", "--progress", "quiet")
    call("evaluate", "run")
    convolution, residual, _, outputs = hidden()
    assert convolution == Conv2D(3, 3, "tanh", penalty=(L1(0.01),))
    assert residual == Residual(Conv2D(3, 3, padding="same", penalty=(L2(0.1),)))
    assert outputs == Dense(2, penalty=(L2(0.1),))


def test_a_described_network_of_a_table(call, tmp_path):
    (tmp_path / "net.toml").write_text('[[layer]]\ntype = "Dense"\nunits = 7\n')
    (tmp_path / "run.toml").write_text('network = "net.toml"\nepochs = 1\n')
    call("train", "iris", "--config", "run.toml", "--out", "run", "--progress", "quiet")
    assert [layer.units for layer in hidden()] == [7, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[layer]]\ntype = Dense\n", "at line 2"),
        ("", "by tables [[layer]] and nothing else, and holds nothing"),
        ('[[layers]]\ntype = "Dense"\n', "and holds 'layers'"),
        ("layer = 3\n", "and holds 'layer'"),
        ('[[layer]]\ntype = "Flatten"\n[[layer]]\ntype = "Conv3D"\n', "layer 2: there is no 'Conv3D'; did you mean"),
        ("[[layer]]\nunits = 3\n", "layer 1: a layer is a table with its type"),
        ('[[layer]]\ntype = "Adam"\n', "layer 1: a layer is a table with its type"),
        ("[[layer]]\ntype = 3\n", "layer 1: there is no 3"),
        ('[[layer]]\ntype = "Dense"\nunits = 0\n', "layer 1: "),
        ('[[layer]]\ntype = "Dense"\nunit = 3\n', "there is no setting 'unit'; there are units, activation,"),
        ('[[layer]]\ntype = "Conv2D"\nfilters = 3\n', "of Conv2D does not fit: kernel must be given"),
        ('[[layer]]\ntype = "Residual"\nlayer = {type = "Dens", units = 3}\n', "layer 1: there is no 'Dens'; did you"),
    ],
)
def test_a_damaged_description(tmp_path, content, message):
    path = tmp_path / "net.toml"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        read_network(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arch", "lenet", "--layers", "3"), "--arch lenet has layers of its own: leave out --layers"),
        (("--arch", "cnn", "--activation", "tanh"), "--arch cnn has layers of its own: leave out --activation"),
        (("--network", "net.toml", "--arch", "cnn"), "--network FILE has layers of its own: leave out --arch"),
        (("--network", "net.toml", "--dropout", "0.5", "--layers", "3"), "leave out --layers, --dropout"),
        (("--arch", "cnn", "--weights", "lsuv"), "--arch cnn has layers of its own: leave out --weights"),
        (("--network", "nosuch.toml"), "nosuch.toml cannot be read as TOML"),
    ],
)
def test_what_does_not_go_together(call, images, tmp_path, options, message):
    (tmp_path / "net.toml").write_text(FILE)
    assert message in call("train", images, *options, status=2).stderr


def test_convolutions_take_images(call):
    error = call("train", "iris", "--arch", "cnn", status=2).stderr
    assert "--arch cnn takes images, and the samples have shape (4,): leave it out" in error


def test_optimisers_of_all_samples_keep_to_dense_networks():
    assert complete(Choices(optimizer="lbfgs"), "classification", 100, "cnn").arch == DENSE


@pytest.mark.parametrize("samples", [10, 999, 1000, 20_000])
def test_what_is_held_out_does_not_depend_on_the_architecture(samples):
    assert sized(samples).validation == sized(samples, "cnn").validation
