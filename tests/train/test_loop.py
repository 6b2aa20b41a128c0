"""The loop: batches, steps and epochs, schedules, history, events, divergence."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest

from clearprop import nn, ops, optim, train
from clearprop.data import batch_order
from clearprop.errors import DivergedError
from clearprop.model import Model
from clearprop.model.samples import given_type
from clearprop.train import (
    CheckpointWritten,
    Diverged,
    EarlyStopping,
    EpochEnded,
    FitEnded,
    FitStarted,
    Progressed,
    StopTraining,
)

pytestmark = pytest.mark.usefixtures("backend")


class Seen(list):
    """A listener that keeps every event."""

    def __call__(self, event: train.Event) -> None:
        self.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self if isinstance(event, kind)]


def linear(rate: float = 0.05, **more) -> Model:
    model = Model(nn.Dense(1), optimizer=optim.SGD(rate), dtype="float64", **more)
    model.init((4,))
    return model


def sgd_by_hand(X, y, W, b, rate, batch_size, epochs, factor=lambda step: 1.0, seed=0, shuffle=True):
    """Gradient descent on the mean squared error of X W + b; the loss of every epoch."""
    W, b, losses_, step = W.copy(), b.copy(), [], 0
    for epoch in range(epochs):
        order = batch_order(len(X), seed=seed, epoch=epoch) if shuffle else np.arange(len(X))
        total = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            error = X[rows] @ W + b - y[rows, None]
            total += (error**2).sum()
            W -= rate * factor(step) * 2 * X[rows].T @ error / len(rows)
            b -= rate * factor(step) * 2 * error.sum(axis=0) / len(rows)
            step += 1
        losses_.append(total / len(X))
    return W, b, losses_


@pytest.mark.parametrize("batch_size", [1, 4, 7, 22, 23, 24, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_last_batch_is_exact(samples, batch_size, shuffle):
    X, y = samples[0], samples[0] @ [1.0, -2.0, 0.5, 0.0] + 1
    model = linear()
    W, b, expected = sgd_by_hand(X, y, *model.parameters.values(), 0.05, batch_size, 3, shuffle=shuffle)
    history = model.fit(X, y, epochs=3, batch_size=batch_size, shuffle=shuffle, progress=False)
    np.testing.assert_allclose(model.parameters["dense1.W"], W, rtol=1e-11)
    np.testing.assert_allclose(model.parameters["dense1.b"], b, rtol=1e-11)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-11)
    assert history["epoch"] == [1, 2, 3]


def test_schedule_multiplies_the_rate_at_every_step(samples):
    X, y = samples[0], samples[0].sum(axis=1)
    schedule = optim.Cosine(0.1)
    model = linear(schedule=schedule)
    W, _, expected = sgd_by_hand(
        X, y, *model.parameters.values(), 0.05, 5, 4, lambda step: schedule(optim.Position(step, 5, 20))
    )
    history = model.fit(X, y, epochs=4, batch_size=5, progress=False)
    np.testing.assert_allclose(model.parameters["dense1.W"], W, rtol=1e-11)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-11)


def test_step_schedule_in_the_loop(samples):
    X, y = samples[0], samples[0].sum(axis=1)
    model = linear(schedule=optim.Step(0.5, 2))
    W, _, _ = sgd_by_hand(X, y, *model.parameters.values(), 0.05, 10, 5, lambda step: 0.5 ** (step // 3 // 2))
    model.fit(X, y, epochs=5, batch_size=10, progress=False)
    np.testing.assert_allclose(model.parameters["dense1.W"], W, rtol=1e-11)


@pytest.mark.parametrize(("steps", "done", "records"), [(1, 1, 1), (5, 5, 1), (7, 7, 2), (10, 10, 2), (99, 15, 3)])
def test_steps_bound_the_epochs(samples, model, steps, done, records):
    seen = Seen()
    history = model.fit(*samples, epochs=3, steps=steps, batch_size=5, listeners=[seen], progress=False)
    assert seen.of(FitStarted)[0].total_steps == done
    assert seen.of(FitEnded)[0].step == done
    assert len(history) == records
    assert history.reason == "finished"


def test_steps_are_the_first_steps_of_the_epochs(samples):
    a, b = linear(), linear()
    y = samples[0].sum(axis=1)
    a.fit(samples[0], y, epochs=1, batch_size=5, progress=False)
    b.fit(samples[0], y, epochs=9, steps=5, batch_size=5, progress=False)
    np.testing.assert_array_equal(a.parameters["dense1.W"], b.parameters["dense1.W"])


class TestObjective:
    """loss is of a sample, cost the mean, objective cost + penalty."""

    def test_names_and_values(self, samples, model):
        model.init((4,))
        programs = model.step_programs(given_type(model.samples(*samples).y, "float64"), weighted=False)
        assert programs.objective.output_names == ("objective", "cost", "penalty")
        assert programs.step.output_names[:3] == ("objective", "cost", "penalty")
        assert "health" not in programs.readable.output_names

    def test_history_holds_the_cost_without_the_penalty(self, samples):
        X, y = samples[0], samples[0].sum(axis=1)
        layers = [nn.Dense(1, penalty=nn.L2(1e3))]
        model = Model(layers, optimizer=optim.SGD(0.0), dtype="float64")
        history = model.fit(X, y, epochs=1, progress=False)
        assert history["loss"][0] == pytest.approx(model.evaluate(X, y)["loss"], rel=1e-12)


class TestEvents:
    def test_order_and_content(self, samples, model):
        seen = Seen()
        X, y = samples
        history = model.fit(
            X, y, epochs=2, batch_size=5, validation_data=(X[:7], y[:7]), listeners=[seen], progress=False
        )
        first, last = seen[0], seen[-1]
        assert first == FitStarted(0, 2, 10, 5, 23, 7, 4 * 5 + 5 + 5 * 3 + 3)
        assert (last.reason, last.step, last.epochs, last.best_epoch) == ("finished", 10, 2, None)
        ended = seen.of(EpochEnded)
        assert [(event.epoch, event.step) for event in ended] == [(1, 5), (2, 10)]
        assert [dict(event.record) for event in ended] == history.epochs
        assert all(event.seconds > 0 for event in ended)
        progressed = seen.of(Progressed)
        assert progressed[-1].step == 10
        assert [(event.epoch, event.batch) for event in progressed[-1:]] == [(2, 5)]
        assert progressed[-1].loss == pytest.approx(history["loss"][-1], rel=1e-12)
        assert all(event.samples_per_second > 0 for event in progressed)

    def test_a_failing_listener_is_left_out_and_the_fit_goes_on(self, samples, model):
        def broken(event):
            calls.append(event)
            raise ZeroDivisionError("oh no")

        calls, seen = [], Seen()
        with pytest.warns(UserWarning, match=r"listener .*broken.* failed and was left out: ZeroDivisionError"):
            history = model.fit(*samples, epochs=2, listeners=[broken, seen], progress=False)
        assert len(calls) == 1
        assert len(history) == 2
        assert len(seen.of(EpochEnded)) == 2

    def test_listeners_change_nothing(self, samples, model):
        twin = Model(model.network, model.loss, model.optimizer, schedule=model.schedule, dtype="float64", seed=3)
        model.fit(*samples, epochs=2, listeners=[Seen()], progress=False)
        twin.fit(*samples, epochs=2, progress=False)
        for name, array in model.parameters.items():
            np.testing.assert_array_equal(array, twin.parameters[name])

    def test_stop_training_at_the_end_of_an_epoch(self, samples, model):
        def stop(event):
            if isinstance(event, EpochEnded) and event.epoch == 2:
                raise StopTraining

        seen = Seen()
        history = model.fit(*samples, epochs=9, batch_size=5, listeners=[stop, seen], progress=False)
        assert len(history) == 2
        assert history.reason == "interrupted"
        assert (seen[-1].reason, seen[-1].step) == ("interrupted", 10)

    @pytest.mark.parametrize(("number", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
    def test_a_signal_ends_the_fit_after_the_step(self, samples, model, number, reason):
        def send(event):
            if isinstance(event, EpochEnded) and event.epoch == 2:
                signal.raise_signal(number)

        before = signal.getsignal(number)
        history = model.fit(*samples, epochs=9, batch_size=5, listeners=[send], progress=False)
        assert history.reason == reason
        assert len(history) == 2
        assert signal.getsignal(number) is before

    @pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_that_is_ignored_stays_so(self, samples, model, ignored):
        def send(event):
            if isinstance(event, EpochEnded):
                signal.raise_signal(ignored if event.epoch == 1 else other)

        other = signal.SIGTERM if ignored == signal.SIGINT else signal.SIGINT
        before = signal.signal(ignored, signal.SIG_IGN)
        try:
            history = model.fit(*samples, epochs=9, batch_size=5, listeners=[send], progress=False)
            assert signal.getsignal(ignored) == signal.SIG_IGN
        finally:
            signal.signal(ignored, before)
        assert history.reason == ("terminated" if ignored == signal.SIGINT else "interrupted")
        assert len(history) == 2

    @pytest.mark.parametrize("late", [0.0, 1.0])
    def test_a_second_signal_acts_as_before_unless_it_is_the_same_one(self, samples, model, monkeypatch, late):
        """What starts a program may pass on Ctrl-C, which the terminal sends too: it comes twice at once."""
        times = iter([100.0, 100.1 + late])

        def send(event):
            if isinstance(event, FitStarted):
                monkeypatch.setattr("clearprop.train.signals.monotonic", lambda: next(times))
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt) if late else nullcontext():
            history = model.fit(*samples, epochs=9, listeners=[send], progress=False)
            assert history.reason == "interrupted"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class TestDivergence:
    def test_stops_at_that_step_and_keeps_the_last_good_weights(self, samples):
        X, y = samples[0] * 1e3, samples[0].sum(axis=1)
        good, seen = linear(1.0), Seen()
        with pytest.raises(DivergedError) as caught:
            good.fit(X, y, epochs=100, batch_size=5, listeners=[seen], progress=False)
        assert all(np.isfinite(array).all() for array in good.parameters.values())
        kinds = [type(event) for event in seen]
        assert kinds[-2:] == [Diverged, FitEnded]
        assert seen[-2].message == str(caught.value)
        assert seen[-1].reason == "diverged"
        step = seen[-2].step
        assert f"step {step + 1} " in str(caught.value)
        # one step less gives the same weights, and no error
        again = linear(1.0)
        again.fit(X, y, epochs=100, steps=step, batch_size=5, progress=False)
        np.testing.assert_array_equal(good.parameters["dense1.W"], again.parameters["dense1.W"])
        again = linear(1.0)
        with pytest.raises(DivergedError):
            again.fit(X, y, epochs=100, steps=step + 1, batch_size=5, progress=False)

    def test_message_names_tensor_layer_and_remedy(self, samples):
        from_zero = nn.Function(lambda x: ops.log(x - 100.0), name="logarithm")
        model = Model([nn.Dense(3, name="first"), from_zero, nn.Dense(1)], dtype="float64")
        with pytest.raises(DivergedError) as caught:
            model.fit(samples[0], samples[0][:, 0], progress=False)
        message = str(caught.value)
        for word in ("step 1 (epoch 1)", "layer logarithm", "NaN", "learning rate was 0.001", "kept"):
            assert word in message

    def test_numbers_that_only_a_step_takes_for_zero_are_named(self, samples):
        """exp(-87.5) is 1.0e-38 in float32, and its logarithm and inverse are finite; in native steps it is zero."""
        tiny = nn.Function(lambda x: 1e-4 * ops.log(ops.exp(0.0 * x - 87.5)), name="logarithm")
        model = Model([nn.Dense(3), tiny, nn.Dense(1)], dtype="float32", backend="native")
        with pytest.raises(DivergedError, match=r"layer logarithm.*infinite.*nearer to zero than 1.2e-38.*logarithm"):
            model.fit(samples[0], samples[0][:, 0], progress=False)

    def test_infinite_weights_are_noticed_in_the_step_that_makes_them(self, samples):
        """The cost is finite, the new weights are not."""
        model = Model(nn.Dense(1), optimizer=optim.SGD(1e38), dtype="float32")
        with pytest.raises(DivergedError, match=r"step 1 .*dense1"):
            model.fit(samples[0] * 1e3, samples[0].sum(axis=1), batch_size=5, progress=False)
        assert np.isfinite(model.parameters["dense1.W"]).all()

    def test_a_layer_of_no_effect_diverges_too(self, samples):
        """NaN in the forward pass, though no parameter ever sees it."""
        model = Model([nn.Dense(1), nn.Function(lambda x: x * 0.0 / 0.0)], dtype="float64")
        with pytest.raises(DivergedError, match="layer function1"):
            model.fit(samples[0], samples[0][:, 0], progress=False)


def test_history_reads_one_quantity(samples, model):
    X, y = samples
    history = model.fit(X, y, epochs=2, validation_data=(X, y), metrics=["accuracy"], progress=False)
    assert set(history.epochs[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_accuracy"] == history["accuracy"]
    assert len(history) == len(history.seconds) == 2
    with pytest.raises(KeyError, match=r"'val_f1' was not recorded; the history holds epoch, loss"):
        history["val_f1"]


def test_all_parameters_may_be_frozen(samples, model):
    frozen = Model(model.network, "cross_entropy", frozen="*", dtype="float64")
    frozen.init((4,))
    before = dict(frozen.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = frozen.fit(*samples, epochs=2, progress=False)
    assert len(history) == 2
    for name, array in before.items():
        np.testing.assert_array_equal(frozen.parameters[name], array)


def test_what_was_seen_of_the_last_epoch_is_recorded(samples, model):
    """23 samples in batches of 5: step 7 is the second of the second epoch, which is validated and watched too."""
    stopping = EarlyStopping("val_loss", patience=5)
    history = model.fit(
        *samples, epochs=3, steps=7, batch_size=5, validation_data=samples, early_stopping=stopping, progress=False
    )
    assert len(history["val_loss"]) == 2
    assert history.best_epoch == int(np.argmin(history["val_loss"])) + 1
    assert all(0 < loss < 10 for loss in history["loss"])


def long_fit(backend: str, rows: int = 400_000, **options) -> tuple[Model, np.ndarray, np.ndarray]:
    """A model, and samples whose epochs take the native backend seconds."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 8)).astype("f4")
    model = Model([nn.Dense(1024, "tanh"), nn.Dense(1)], "squared_error", backend=backend)
    return model, X, X[:, :1]


class TestStretches:
    """The backend runs steps on its own for a while; nobody waits for it for long."""

    def test_ctrl_c_in_the_middle_of_an_epoch(self, backend):
        model, X, y = long_fit(backend)
        sent = []

        def interrupt():
            sent.append(time.process_time())  # not of the clock: a busy machine makes others wait, too
            os.kill(os.getpid(), signal.SIGINT)

        def start(event):
            if isinstance(event, FitStarted):
                threading.Timer(0.3, interrupt).start()

        seen = Seen()
        history = model.fit(X, y, epochs=1000, batch_size=8, listeners=[seen, start], progress=False)
        assert time.process_time() - sent[0] < 0.5
        assert history.reason == "interrupted"
        assert seen[-1].step > 0
        assert len(history) == 0  # in the middle of the first epoch

    def test_progress_is_told_in_the_middle_of_an_epoch(self, backend):
        model, X, y = long_fit(backend)

        def stop(event):
            if isinstance(event, Progressed) and len(seen.of(Progressed)) == 3:
                raise StopTraining

        seen = Seen()
        history = model.fit(X, y, epochs=1, batch_size=8, listeners=[seen, stop], progress=False)
        assert history.reason == "interrupted"
        steps = [event.step for event in seen.of(Progressed)]
        assert steps == sorted(set(steps))
        assert steps[-1] == seen[-1].step < 50_000

    def test_checkpoints_are_written_at_their_steps(self, backend, samples, model, tmp_path):
        seen = Seen()
        model.fit(*samples, epochs=4, batch_size=5, listeners=[seen], run=tmp_path, checkpoint_steps=3, progress=False)
        assert [event.step for event in seen.of(CheckpointWritten)] == [3, 6, 9, 12, 15, 18, 20]

    def test_the_result_does_not_depend_on_the_stretches(self, backend, samples, model, monkeypatch):
        twin = Model(model.network, model.loss, model.optimizer, schedule=model.schedule, dtype="float64", seed=3)
        options = {"epochs": 9, "batch_size": 2, "validation_data": samples, "progress": False}
        history = model.fit(*samples, **options)
        monkeypatch.setattr("clearprop.train.loop._STRETCH_STEPS", 1)
        assert twin.fit(*samples, **options).epochs == history.epochs
        for name, array in model.parameters.items():
            np.testing.assert_array_equal(array, twin.parameters[name])

    def test_fits_in_several_threads(self, backend, samples, model):
        def fit(_):
            twin = Model(model.network, model.loss, model.optimizer, schedule=model.schedule, dtype="float64", seed=3)
            twin.fit(*samples, epochs=20, batch_size=4, progress=False)
            return twin.parameters

        expected = fit(0)
        with ThreadPoolExecutor(4) as pool:
            for parameters in pool.map(fit, range(6)):
                for name, array in expected.items():
                    np.testing.assert_array_equal(array, parameters[name])

    def test_parameters_and_best_weights_do_not_change_with_later_steps(self, backend, samples):
        X, y = samples[0], samples[0].sum(axis=1)
        model, once = linear(), linear()
        first = dict(model.parameters)
        copies = {name: array.copy() for name, array in first.items()}
        once.fit(X, y, epochs=1, progress=False)
        # the first epoch stays the best one
        model.fit(X, y, epochs=5, early_stopping=EarlyStopping("loss", patience=3, min_delta=1e3), progress=False)
        for name, array in first.items():
            np.testing.assert_array_equal(array, copies[name])
            np.testing.assert_array_equal(model.parameters[name], once.parameters[name])
            assert model.parameters[name].base is None
