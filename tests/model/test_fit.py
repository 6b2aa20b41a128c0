"""What `fit` does with the data: held-out parts, weights, continuing, threads, precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sklearn.utils
from loss_table import samples, shaped
from small_model import X, Y, make

from clearprop import losses, nn, optim
from clearprop.data import split
from clearprop.errors import SettingsError
from clearprop.model import Model
from clearprop.train import EpochEnded, FitStarted

RNG = np.random.default_rng(1)


def equal(a: Model, b: Model, rtol: float = 0.0, atol: float = 0.0) -> None:
    assert a.parameters.keys() == b.parameters.keys()
    for name, array in a.parameters.items():
        np.testing.assert_allclose(array, b.parameters[name], rtol=rtol, atol=atol, err_msg=name)


class TestHoldingOut:
    @pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
    def test_a_part_is_the_same_as_the_data_given(self, loss):
        target = Y if loss == "cross_entropy" else np.tile(X[:, :1], 3)
        rows, held = split(target if loss == "cross_entropy" else 40, 0.25, seed=3)
        a, b = make(loss=loss), make(loss=loss)
        first = a.fit(X, target, epochs=3, validation_split=0.25, progress=False)
        second = b.fit(X[rows], target[rows], epochs=3, validation_data=(X[held], target[held]), progress=False)
        equal(a, b)
        assert first.epochs == second.epochs

    def test_classes_are_held_out_in_proportion(self):
        y = np.repeat([0, 1, 2], [30, 8, 2])
        seen = []
        make().fit(X, y, epochs=1, validation_split=0.5, listeners=[seen.append], progress=False)
        started = next(event for event in seen if isinstance(event, FitStarted))
        assert (started.samples, started.validation_samples) == (20, 20)
        _, held = split(y, 0.5, seed=3)
        assert np.bincount(y[held]).tolist() == [15, 4, 1]

    def test_weights_follow_their_samples(self):
        weight = RNG.uniform(0.1, 2, 40)
        rows, held = split(Y, 0.25, seed=3)
        a, b = make(), make()
        a.fit(X, Y, epochs=2, validation_split=0.25, sample_weight=weight, progress=False)
        b.fit(
            X[rows],
            Y[rows],
            epochs=2,
            validation_data=(X[held], Y[held]),
            sample_weight=weight[rows],
            progress=False,
        )
        equal(a, b)

    def test_bad_settings(self):
        with pytest.raises(SettingsError, match="not both"):
            make().fit(X, Y, validation_split=0.2, validation_data=(X, Y), progress=False)
        for wrong in (X, (X,), (X, Y, None, None)):
            with pytest.raises(SettingsError, match=r"validation_data holds features and target.*\(X_val, y_val\)"):
                make().fit(X, Y, validation_data=wrong, progress=False)
        for fraction in (1.0, -0.1, float("nan"), "0.2", None):
            with pytest.raises(SettingsError, match="validation_split lies in"):
                make().fit(X, Y, validation_split=fraction, progress=False)

    def test_a_file_is_no_folder_of_a_run(self, tmp_path):
        (tmp_path / "notes").write_text("mine")
        with pytest.raises(SettingsError, match="notes is a file: give another name"):
            make().fit(X, Y, progress=False, run=tmp_path / "notes")
        assert (tmp_path / "notes").read_text() == "mine"

    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ({"run": 3}, "run is the path of a folder, a Run or None, received 3"),
            ({"listeners": print}, "listeners is a list of functions that take an event, received <built-in"),
            ({"listeners": [3]}, r"listeners is a list of functions that take an event, received \[3\]"),
            ({"metrics": 3}, "metrics is a list of names, or one name, received 3"),
            ({"class_weight": [1, 2]}, r"a mapping of class indices to weights, received \[1, 2\]"),
            ({"sample_weight": ["a"] * len(X)}, "sample_weight must hold .* numbers, one a sample: could not convert"),
            ({"early_stopping": 3}, r"early_stopping is EarlyStopping\(.*, received 3"),
        ],
    )
    def test_settings_of_another_kind(self, setting, words):
        with pytest.raises(SettingsError, match=words):
            make().fit(X, Y, progress=False, **setting)


class TestWeights:
    @pytest.mark.parametrize("loss", losses.LOSSES)
    def test_whole_weights_are_copies_of_samples(self, loss):
        output, target = samples(loss, 40)
        weight = RNG.integers(0, 4, 40)
        network = [nn.Dense(6, "tanh"), nn.Dense(12), shaped(output)]
        a, b = (Model(network, loss, optim.SGD(0.1), dtype="float64", seed=3) for _ in range(2))
        first = a.fit(X, target, epochs=5, batch_size=1000, sample_weight=weight, progress=False)
        second = b.fit(
            np.repeat(X, weight, axis=0), np.repeat(target, weight, axis=0), epochs=5, batch_size=1000, progress=False
        )
        equal(a, b, rtol=1e-9, atol=1e-15)  # what is 0 but for the rounding of a sum is another rounding there
        np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-10)

    def test_their_scale_does_not_matter(self):
        a, b = make(), make()
        a.fit(X, Y, epochs=2, sample_weight=np.full(40, 17.0), progress=False)
        b.fit(X, Y, epochs=2, progress=False)
        equal(a, b, rtol=1e-12)

    def test_balanced_classes(self):
        expected = sklearn.utils.compute_sample_weight("balanced", Y)
        counts = np.bincount(Y)
        np.testing.assert_allclose(expected, (40 / (3 * counts))[Y])
        a, b, c = make(), make(), make()
        a.fit(X, Y, epochs=3, class_weight="balanced", progress=False)
        b.fit(X, Y, epochs=3, sample_weight=expected, progress=False)
        c.fit(X, Y, epochs=3, class_weight={k: 1 / count for k, count in enumerate(counts)}, progress=False)
        equal(a, b, rtol=1e-12)
        equal(a, c, rtol=1e-10)

    def test_both_kinds_multiply(self):
        weight = RNG.uniform(0.5, 2, 40)
        a, b = make(), make()
        a.fit(X, Y, epochs=2, class_weight={1: 3.0}, sample_weight=weight, progress=False)
        b.fit(X, Y, epochs=2, sample_weight=weight * np.where(Y == 1, 3.0, 1.0), progress=False)
        equal(a, b, rtol=1e-12)

    def test_classes_of_one_binary_output(self):
        bits = (Y > 0).astype(int)
        for target in (bits, bits[:, None], bits.astype(float), bits.astype(bool)):
            a, b = make(1, "binary_cross_entropy"), make(1, "binary_cross_entropy")
            a.fit(X, target, epochs=2, class_weight="balanced", progress=False)
            weight = sklearn.utils.compute_sample_weight("balanced", bits)
            b.fit(X, bits, epochs=2, sample_weight=weight, progress=False)
            equal(a, b, rtol=1e-12)

    def test_evaluation_is_weighted_too(self):
        model, weight = make(), RNG.uniform(size=40)
        model.fit(X, Y, epochs=1, progress=False)
        each = [model.evaluate(X[i : i + 1], Y[i : i + 1])["loss"] for i in range(40)]
        assert model.evaluate(X, Y, sample_weight=weight)["loss"] == pytest.approx(np.average(each, weights=weight))
        assert model.evaluate(X, Y)["loss"] == pytest.approx(np.mean(each))

    def test_validation_and_metrics_are_weighted_and_class_weights_are_for_training(self):
        weight = RNG.uniform(0.1, 3.0, 40)
        rows, held = split(Y, 0.25, seed=3)
        parts = [(X[part], Y[part], weight[part]) for part in (rows, held)]
        metrics = ("accuracy", "f1_macro", "log_loss")
        for given in ({"validation_split": 0.25}, {"validation_data": parts[1]}):
            model, (x, y, w) = make(), (X, Y, weight) if "validation_split" in given else parts[0]
            options = {"sample_weight": w, "class_weight": "balanced", "metrics": metrics, "progress": False}
            record = model.fit(x, y, epochs=1, **given, **options).epochs[0]
            for lead, (x, y, w) in zip(("", "val_"), parts, strict=True):
                p = model.predict(x)
                expected = {
                    "accuracy": np.average(p.argmax(axis=1) == y, weights=w),
                    "f1_macro": sklearn.metrics.f1_score(y, p.argmax(axis=1), average="macro", sample_weight=w),
                    "log_loss": np.average(-np.log(p[np.arange(len(y)), y]), weights=w),
                }
                assert {name: record[lead + name] for name in metrics} == pytest.approx(expected, rel=1e-6)
                assert model.evaluate(x, y, metrics, w) == pytest.approx(
                    expected | {"loss": expected["log_loss"]}, rel=1e-6
                )
            assert record["val_loss"] == pytest.approx(record["val_log_loss"], rel=1e-6)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"sample_weight": np.ones(39)}, "sample_weight must hold 40"),
            ({"sample_weight": np.ones(41), "validation_split": 0.2}, "sample_weight must hold 40"),
            ({"sample_weight": np.ones((40, 1))}, "sample_weight must hold 40"),
            ({"sample_weight": 1.0}, "sample_weight must hold 40"),
            ({"sample_weight": np.r_[np.ones(7), -np.ones(33)]}, "at least 0, and holds -1 at index 7"),
            ({"sample_weight": np.full(40, np.nan)}, "finite"),
            ({"sample_weight": np.zeros(40)}, "all zero"),
            ({"sample_weight": np.full(40, 1e308)}, "too large to add up, the largest is 1e\\+308"),
            ({"class_weight": {0: 1e308, 1: 1e308}}, "too large to add up"),
            ({"class_weight": "even"}, "'balanced' or a mapping, received 'even'"),
            ({"class_weight": {7: 1.0}}, r"\[0, 1, 2\].*7"),
            ({"class_weight": {0: -1.0}}, "at least 0.*-1.0"),
            ({"class_weight": {0: float("nan")}}, "nan"),
        ],
    )
    def test_bad_weights(self, options, words):
        with pytest.raises(SettingsError, match=words):
            make().fit(X, Y, progress=False, **options)

    def test_class_weights_need_classes(self):
        with pytest.raises(SettingsError, match="needs class indices"):
            make(1, "squared_error").fit(X, X[:, 0], class_weight="balanced", progress=False)

    def test_evaluation_refuses_bad_weights(self):
        model = make()
        model.init((4,))
        with pytest.raises(SettingsError, match="sample_weight must hold 40"):
            model.evaluate(X, Y, sample_weight=np.ones(3))


class TestFrozen:
    @pytest.mark.parametrize("pattern", ["dense1.*", "*.b", "dense2.W", ("dense1.b", "dense2.*")])
    def test_what_matches_stays_and_the_rest_learns(self, pattern):
        model = make(frozen=pattern)
        model.init((4,))
        before = dict(model.parameters)
        model.fit(X, Y, epochs=2, progress=False)
        for name, array in model.parameters.items():
            assert (array == before[name]).all() != (name in model.trainable)
        assert 0 < len(model.trainable) < 4

    def test_a_pattern_that_matches_nothing(self):
        with pytest.raises(
            SettingsError, match=r"'dense3\.\*' of frozen parameters matches none of dense1\.W, dense1\.b"
        ):
            make(frozen="dense3.*").fit(X, Y, progress=False)


def test_samples_that_are_their_own_target_lie_in_memory_once():
    """As an autoencoder's, whatever type they were given in; a target that only equals them is another one."""
    model = Model([nn.Dense(2), nn.Dense(X.shape[1])], "squared_error")
    for given in (X, X.astype("f4"), (X * 9).astype(int)):
        both = model.samples(given, given)
        assert both.x is both.y
    alike = X.astype("f4")
    both = model.samples(alike, alike.copy())
    assert not np.shares_memory(both.x, both.y)


def test_samples_that_are_their_own_target_are_held_out_together():
    a, b = (make(units=X.shape[1], loss="squared_error") for _ in range(2))
    first = a.fit(X, X, epochs=2, validation_split=0.25, progress=False)
    second = b.fit(X, X.copy(), epochs=2, validation_split=0.25, progress=False)
    equal(a, b)
    assert first.epochs == second.epochs


def test_fitting_again_goes_on_from_the_weights():
    model = make()
    first = model.fit(X, Y, epochs=10, progress=False)
    between = model.evaluate(X, Y)["loss"]
    second = model.fit(X, Y, epochs=10, progress=False)
    assert first["loss"][-1] > second["loss"][0] > second["loss"][-1]
    assert between > model.evaluate(X, Y)["loss"]
    assert second["epoch"] == list(range(1, 11))


def test_predictions_before_a_fit_say_what_to_do():
    with pytest.raises(SettingsError, match="fit it, or call init"):
        make().predict(X)


def test_predictions():
    model = make()
    model.fit(X, Y, epochs=1, progress=False)
    probabilities = model.predict(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict_classes(X), probabilities.argmax(axis=1))
    assert model.predict(X[:0]).shape == (0, 3)
    many = np.tile(X, (250, 1))
    np.testing.assert_allclose(model.predict(many), np.tile(probabilities, (250, 1)), rtol=1e-12)
    binary = make(1, "binary_cross_entropy")
    binary.fit(X, Y > 0, epochs=1, progress=False)
    np.testing.assert_array_equal(binary.predict_classes(X), (binary.predict(X)[:, 0] > 0.5).astype(int))
    several = make(3, "binary_cross_entropy")
    several.fit(X, (X[:, :3] > 0).astype(int), epochs=1, progress=False)
    np.testing.assert_array_equal(several.predict_classes(X), several.predict(X) > 0.5)
    with pytest.raises(SettingsError, match="predicts values, not classes"):
        make(1, "squared_error").predict_classes(X)


def test_soft_targets_equal_hard_ones():
    a, b = make(), make()
    a.fit(X, Y, epochs=3, progress=False)
    b.fit(X, np.eye(3)[Y], epochs=3, progress=False)
    equal(a, b, rtol=1e-9)


def test_float32_follows_float64():
    wide, narrow = make(), make(dtype="float32")
    first, second = (m.fit(X, Y, epochs=5, progress=False) for m in (wide, narrow))
    assert {array.dtype for array in narrow.parameters.values()} == {np.dtype("float32")}
    assert {array.dtype for array in wide.parameters.values()} == {np.dtype("float64")}
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-5)
    for name, array in wide.parameters.items():
        np.testing.assert_allclose(narrow.parameters[name], array, rtol=1e-3, atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    models = [Model([nn.Dense(5, "relu"), nn.Dropout(0.3), nn.Dense(3)], "cross_entropy", seed=s) for s in (1, 1, 2)]
    for model in models:
        model.fit(X, Y, epochs=2, progress=False)
    equal(models[0], models[1])
    assert (models[0].parameters["dense1.W"] != models[2].parameters["dense1.W"]).all()


def test_fits_in_threads_do_not_disturb_each_other():
    def train(seed: int) -> Model:
        layers = [nn.Dense(5, "relu", penalty=nn.L2(0.01)), nn.Dropout(0.3), nn.Dense(3)]
        model = Model(layers, "cross_entropy", seed=seed)
        model.fit(X, Y, epochs=3, validation_split=0.2, metrics=["accuracy"], progress=False)
        return model

    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, range(4)))
    for a, b in zip(alone, together, strict=True):
        equal(a, b)


def test_each_epoch_is_evaluated_in_the_inference_form():
    """Metrics and validation see no dropout and no penalty."""
    layers = [nn.Dense(5, "relu", penalty=nn.L2(10.0)), nn.Dropout(0.9), nn.Dense(3)]
    model, checked = Model(layers, "cross_entropy", optim.SGD(0.01), dtype="float64"), []

    def check(event: object) -> None:
        if isinstance(event, EpochEnded):
            checked.append(event.record)

    model.fit(X, Y, epochs=1, validation_data=(X, Y), metrics="accuracy", listeners=[check], progress=False)
    result = model.evaluate(X, Y, metrics="accuracy")
    assert checked[0]["val_loss"] == pytest.approx(result["loss"], rel=1e-12)
    assert checked[0]["accuracy"] == checked[0]["val_accuracy"] == result["accuracy"]
    assert result["accuracy"] == (model.predict_classes(X) == Y).mean()
