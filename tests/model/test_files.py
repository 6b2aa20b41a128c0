"""Model files: the same bytes for the same model, everything comes back, and nothing else is ever read."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop import files, losses, nn, ops, optim
from clearprop.errors import FileFormatError, SettingsError
from clearprop.files import replacing
from clearprop.model import Model, Run, load


def cube(x: ops.Tensor) -> ops.Tensor:
    return x * x * x


@dataclass(frozen=True)
class Scale(nn.Layer):
    """A layer of a user's own."""

    factor: float = 2.0
    name: str | None = None

    def init(self, key, shapes):
        return {"s": np.full(shapes, self.factor)}

    def apply(self, params, x):
        return x * params["s"]


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "dense": (nn.Dense(3), (4,)),
    "penalties": (nn.Dense(3, "tanh", weights=nn.Normal(0.1), biases="uniform", penalty=(nn.L1(), nn.L2(0.1))), (4,)),
    "activations": ([nn.Dense(3, nn.LeakyReLU(0.2)), nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Softmax()], (4,)),
    "images": ([nn.Flatten(), nn.Dropout(0.3), nn.Dense(2, bias=False, name="out")], (2, 3)),
    "residual": ([nn.Residual(nn.Dense(4, cube)), nn.Residual(nn.Dense(2), nn.Dense(2))], (4,)),
    "parallel": ([nn.Parallel(nn.Dense(2), nn.Identity(), join="concat"), nn.Function(cube, name="f")], (4,)),
    "nested": (nn.Sequential(nn.Sequential(nn.Dense(2), name="inner"), Scale(3.0)), (4,)),
    "no parameters": (nn.Tanh(), (4,)),
}
CUSTOM = {"cube": cube, "Scale": Scale}


def made(name: str = "dense", dtype: str = "float32", **more: Any) -> Model:
    network, sample = NETWORKS[name]
    model = Model(network, dtype=dtype, seed=5, **more)
    model.init(sample)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(tmp_path, name, dtype):
    model = made(name, dtype)
    model.save(tmp_path / "a")
    again = load(tmp_path / "a", custom=CUSTOM)
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert again.network == model.network
    assert (again.dtype, again.seed, again.sample_shape) == (dtype, 5, model.sample_shape)
    x = np.random.default_rng(0).normal(size=(3, *NETWORKS[name][1]))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("loss", [losses.CrossEntropy(), losses.BinaryCrossEntropy("sum"), losses.SquaredError(0.5)])
@pytest.mark.parametrize("optimizer", [kind() for kind in optim.OPTIMIZERS.values()], ids=str)
@pytest.mark.parametrize("schedule", [optim.Constant(), optim.Cosine(0.2), optim.Step(0.5, 3)], ids=str)
def test_how_it_trains_comes_back(tmp_path, loss, optimizer, schedule):
    Model(nn.Dense(3), loss, optimizer, schedule=schedule, frozen=["*.b", "x"]).save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.loss, again.optimizer, again.schedule) == (loss, optimizer, schedule)
    assert again.frozen == ("*.b", "x")
    assert again.sample_shape is None
    assert not again.parameters


def test_a_loaded_model_trains_as_the_saved_one_would(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 3
    model = made(loss="cross_entropy")
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for each in (model, again):
        each.fit(X, y, epochs=2, progress=False)
    np.testing.assert_array_equal(model.parameters["dense1.W"], again.parameters["dense1.W"])


def test_fitted_to_a_table(tmp_path):
    table = {"size": [1.0, 2.0, 3.0, 4.5], "kind": ["a", "b", "a", "b"]}
    model = Model([nn.Dense(2)], "cross_entropy")
    model.fit(table, np.array(["no", "yes", "no", "yes"]), epochs=1, progress=False)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    assert again.predict_classes(table).tolist() == model.predict_classes(table).tolist()


def test_the_file_is_a_safetensors_file(tmp_path):
    model = made()
    model.save(tmp_path / "model.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        name: array.tolist() for name, array in model.parameters.items()
    }


def test_saving_is_atomic(tmp_path, monkeypatch):
    made().save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clearprop.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        made(dtype="float64").save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


KILLED = """
import os, signal, sys
from pathlib import Path
from clearprop.files import replacing
with replacing(Path(sys.argv[1]), "wb") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks that a killed process gives back")
def test_the_next_save_clears_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a[1].model"
    made().save(path)
    before = path.read_bytes()
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    (left,) = (name for name in os.listdir(tmp_path) if name.endswith(".part"))
    (tmp_path / left.replace("a[1].model", "a1.model")).touch()  # another file's
    assert path.read_bytes() == before
    with replacing(path, "wb") as file:  # somebody writes: what is unfinished may be theirs
        file.write(b"new")
        assert len(os.listdir(tmp_path)) == 3  # this one cleared what was left, and is unfinished itself
        made(dtype="float64").save(path)
        assert len(os.listdir(tmp_path)) == 3
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == sorted(["a[1].model", left.replace("a[1].model", "a1.model")])


def test_what_cannot_be_described_is_refused_before_anything_is_written(tmp_path):
    class Local(losses.Loss):
        def target_type(self, output, given):
            return output

        def per_sample(self, output, target):
            return ops.mean(output - target, 1)

    with pytest.raises(SettingsError, match="cannot be written to a file"):
        Model(nn.Dense(1), Local()).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def scaling(factor: float) -> Any:
    def scale(x: ops.Tensor) -> ops.Tensor:
        return x * factor

    return scale


@dataclass(frozen=True)
class Tanh(nn.Layer):
    """A layer of a user's own that is called as one of the package."""

    name: str | None = None

    def apply(self, params, x):
        return ops.tanh(x) * 2


def named(function: Any, name: str) -> Any:
    function.__name__ = name
    return function


TWO_OF_ONE_NAME = {
    "functions": lambda: Model([scaling(2.0), nn.Dense(1), scaling(5.0)]),
    "an activation and a layer": lambda: Model([nn.Dense(1, scaling(2.0)), scaling(2.0)]),
    "a layer and the loss": lambda: Model(
        [cube, nn.Dense(1)], named(lambda output, target: ops.abs(output - target), "cube")
    ),
    "a layer and the schedule": lambda: Model(
        [scaling(2.0), nn.Dense(1)], schedule=named(lambda step: 0.5**step, "scale")
    ),
    "classes": lambda: Model([Tanh(), nn.Dense(1), nn.Tanh()]),
    "a function and a class": lambda: Model([named(scaling(2.0), "Dense"), nn.Dense(1)]),
}
LAMBDAS = {
    "a layer": lambda: Model([lambda x: x * 2.0, nn.Dense(1)]),
    "an activation": lambda: Model([nn.Dense(1, lambda x: x * 2.0)]),
    "the loss": lambda: Model([nn.Dense(1)], lambda output, target: ops.abs(output - target)),
    "the schedule": lambda: Model([nn.Dense(1)], schedule=lambda step: 0.5**step),
    "a phase": lambda: Model([nn.Dense(1)], schedule=optim.Warmup(optim.FunctionOfStep(lambda step: 0.5**step))),
}
UNNAMED = [(make, "two different functions or classes are named") for make in TWO_OF_ONE_NAME.values()]
UNNAMED += [(make, "a lambda cannot be written to a file") for make in LAMBDAS.values()]


@pytest.mark.parametrize(("make", "words"), UNNAMED, ids=[*TWO_OF_ONE_NAME, *LAMBDAS])
def test_functions_without_a_name_of_their_own(tmp_path, make, words):
    """They train and predict; a file is refused, by fit before it trains."""
    model = make()
    X, y = np.random.default_rng(0).normal(size=(8, 4)), np.ones((8, 1))
    with pytest.raises(SettingsError, match=words):
        model.fit(X, y, epochs=1, run=tmp_path / "run", progress=False)
    assert not model.parameters
    model.fit(X, y, epochs=1, progress=False)
    assert model.predict(X).shape == (8, 1)
    with pytest.raises(SettingsError, match=words):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_one_function_in_several_places(tmp_path):
    scale = scaling(2.0)
    model = Model([scale, nn.Dense(3, scale), nn.Residual(nn.Dense(3, cube)), nn.Function(scale, name="last")])
    model.init((4,))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", custom={"scale": scale, "cube": cube})
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


class TestRefused:
    @pytest.fixture
    def file(self, tmp_path) -> Path:
        made().save(tmp_path / "model")
        return tmp_path / "model"

    def test_missing(self, tmp_path):
        with pytest.raises(FileFormatError, match="nothing cannot be read"):
            load(tmp_path / "nothing")
        with pytest.raises(FileFormatError, match=r"holds no model\.safetensors$"):
            load(tmp_path)

    def test_a_checkpoint_without_a_model(self, tmp_path):
        model = made()
        x = np.zeros((4, *model.sample_shape), "float32")
        model.fit(x, model.predict(x), epochs=1, run=tmp_path, progress=False)
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(FileFormatError, match=r"no model\.safetensors, for it has not ended, or .* removed: go on"):
            load(tmp_path)

    def test_a_history_that_is_none(self, tmp_path):
        (tmp_path / "settings.json").write_text("{}")
        (tmp_path / "history.json").write_text("[1, 2]")
        with pytest.raises(FileFormatError, match=r"history\.json holds no history: it is a list, not a mapping"):
            Run(tmp_path).history()
        (tmp_path / "history.json").write_text('{"epochs": [{"loss": 1.0}], "best_epoch": 2}')
        with pytest.raises(FileFormatError, match="the best of 1 epochs is 2"):
            Run(tmp_path).history()

    def test_a_folder_of_runs(self, tmp_path):
        for name in ("a-2", "a-1", "none"):
            (tmp_path / name).mkdir()
        for name in ("a-1", "a-2"):
            made().save(tmp_path / name / "model.safetensors")
        with pytest.raises(FileFormatError, match=r"but runs in it do: give the folder of one, 'a-1', 'a-2'$"):
            load(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"short", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04" + b"\x00" * 60, b"\x80\x04N."]
    )
    def test_foreign(self, file, content):
        file.write_bytes(content)
        with pytest.raises(FileFormatError):
            load(file)

    def test_safetensors_of_someone_else(self, file):
        safetensors.numpy.save_file({"W": np.zeros(3)}, file)
        with pytest.raises(FileFormatError, match="not written by clearprop"):
            load(file)
        safetensors.numpy.save_file({"W": np.zeros(3)}, file, metadata={"clearprop": "[" * 100_000})
        with pytest.raises(FileFormatError, match="not written by clearprop"):
            load(file)

    def test_newer_format(self, file):
        content = file.read_bytes()
        file.write_bytes(content.replace(b'\\"format\\": 1', b'\\"format\\": 9'))
        with pytest.raises(FileFormatError, match="has format 9, newer than 1: update clearprop"):
            load(file)

    def test_custom_things_are_asked_for_by_name(self, tmp_path):
        made("nested").save(tmp_path / "model")
        with pytest.raises(FileFormatError, match=r"describes 'Scale'.*custom=\{'Scale': \.\.\.\}"):
            load(tmp_path / "model")

    def test_every_cut(self, file):
        content = file.read_bytes()
        for length in range(len(content)):
            file.write_bytes(content[:length])
            with pytest.raises(FileFormatError):
                load(file)
        file.write_bytes(content + b"\x00")
        with pytest.raises(FileFormatError):
            load(file)


CONTENT: list[bytes] = []


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_is_refused_or_without_effect(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed"
    if not CONTENT:
        made("penalties", loss="squared_error").save(path)
        CONTENT.append(path.read_bytes())
    content = bytearray(CONTENT[0])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    same = made("penalties", loss="squared_error")
    try:
        model = load(path)
    except FileFormatError:
        assert bytes(content) != CONTENT[0]
        return
    assert (model.network, model.loss, model.optimizer, model.dtype) == (
        *(same.network, same.loss, same.optimizer),
        same.dtype,
    )
    for name, array in same.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 100)
    | st.floats()
    | st.sampled_from(["Dense", "relu", "float64", "os"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "function", "units", "layers", "name", "activation"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.data())
def test_any_description_is_refused_or_a_model(tmp_path_factory, data):
    """A file whose digest is right, as a forger would make it, with another thing in the place of one part."""
    path = tmp_path_factory.getbasetemp() / "forged"
    model = made()
    model.save(path)
    arrays, description = files.read_arrays(path, "model")
    part = data.draw(st.sampled_from(sorted(description)))
    description[part] = data.draw(JSON)
    files.write_arrays(path, "model", arrays, description)
    try:
        assert isinstance(load(path), Model)
    except FileFormatError:
        return


@pytest.mark.parametrize("name", ["os.system", "eval", "__import__", "print"])
def test_descriptions_run_no_code(tmp_path, name):
    """Names of importable things are only names."""
    path = tmp_path / "model"
    made().save(path)
    arrays, description = files.read_arrays(path, "model")
    for forged in ({"function": name}, {"type": name}):
        files.write_arrays(path, "model", arrays, description | {"loss": forged})
        with pytest.raises(FileFormatError, match="not known here"):
            load(path)
