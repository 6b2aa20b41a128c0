"""The model: a network, its loss and optimiser, and the parameters that training changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.compile import DEFAULT_BACKEND, compile_program, explain, source_of
from clearprop.data import AnyEncoding
from clearprop.description import brief
from clearprop.display import progress as progress_listener
from clearprop.errors import SettingsError
from clearprop.ir import Batch, Program, Shape, Type
from clearprop.losses import Loss
from clearprop.losses import loss as loss_of
from clearprop.model import fitting
from clearprop.model.agreement import check_parts
from clearprop.model.freezing import not_frozen, patterns_of
from clearprop.model.rate_test import RateTest, rate_test
from clearprop.model.run import Run
from clearprop.model.samples import as_input, check_samples, given_type
from clearprop.model.saving import save
from clearprop.nn import Layer, Sequential
from clearprop.ops import Tensor
from clearprop.optim import Optimizer, Schedule, WholeBatch
from clearprop.optim import optimizer as optimizer_of
from clearprop.optim import schedule as schedule_of
from clearprop.randomness import Key
from clearprop.settings import check_value
from clearprop.train import (
    PARAMETERS,
    EarlyStopping,
    FitSettings,
    History,
    Lanes,
    Listener,
    Samples,
    Signature,
    StepPrograms,
    build_evaluation,
    build_prediction,
    build_step,
    copies,
    evaluated,
    lanes_to_measure,
    output_type,
    running_averages,
    slices_at_once,
)

Array = np.ndarray[Any, Any]
T = TypeVar("T")


class Model:
    """A network with what is needed to train it.

    ::

        model = cp.Model([cp.Dense(32, "relu"), cp.Dense(10)], loss="cross_entropy", optimizer=cp.Adam(0.002))
        model.fit(X, y, epochs=20)

    Args:
        network: a layer, or layers one after another.
        loss: a loss, its name, such as "squared_error" or "cross_entropy", or a function of (output, target).
        optimizer: an optimiser or its name, such as "adam" (`optim.OPTIMIZERS` lists them).
        schedule: what the learning rate is multiplied by: a schedule, its name, or any function of the step.
        dtype: "float32" or "float64", of parameters and arithmetic.
        seed: of the first weights, the order of the samples, and the random numbers in training.
        frozen: patterns of parameters that training leaves as they are, such as "dense1.*" or "*.b".
        backend: what runs the programs: "native" (machine code), "reference" (NumPy), or "auto": native where it runs.

    Attributes:
        parameters: the parameters by name; empty until `init` or the first fit.
        averages: the names of those that are running averages (of `BatchNorm`), which the optimiser leaves alone.
        fresh: the names of those that are as `init` made them, which initialisers that look at the data may still fit.
        encoding: how raw tables become numbers, when the model was fitted to one; it is saved with the model.
        target, weighted: the type of the last fit's targets (None before one), and whether it had weights.
        lanes: how the last fit carried states from batch to batch; None where every sample started anew.

    Raises:
        SettingsError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        network: Layer | Sequence[Layer],
        loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "squared_error",
        optimizer: str | Optimizer | WholeBatch = "adam",
        *,
        schedule: str | Schedule | Callable[[int], float] = "constant",
        dtype: str = "float32",
        seed: int = 0,
        frozen: str | Sequence[str] = (),
        backend: str = DEFAULT_BACKEND,
    ) -> None:
        for name, value in (("dtype", dtype), ("seed", seed)):
            check_value("Model", name, PARAMETERS[name], value)
        several = isinstance(network, Iterable) and not isinstance(network, Layer | str | type)
        layers: Any = network if several else (network,)
        self.network = network if isinstance(network, Sequential) else Sequential(*layers)
        self.loss = loss_of(loss)
        self.optimizer = optimizer_of(optimizer)
        self.schedule = schedule_of(schedule)
        self.dtype = dtype
        self.seed = seed
        self.frozen = patterns_of(frozen)
        self.backend = backend
        self.sample_shape: tuple[int, ...] | None = None
        self.parameters: dict[str, Array] = {}
        self.averages, self.fresh = tuple[str, ...](), frozenset[str]()
        self.encoding: AnyEncoding | None = None
        self.target: Type | None = None
        self.weighted = False
        self.lanes: Lanes | None = None
        self._executables: dict[Any, Executable] = {}
        check_parts(self.network, self.loss, self.optimizer, self.schedule)

    def __repr__(self) -> str:
        return f"Model({brief(self.network.layers)}, loss={brief(self.loss)}, optimizer={brief(self.optimizer)})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_executables": {}}  # machine code belongs to this process

    def init(self, sample_shape: Shape) -> None:
        """Make the first parameters for samples of a shape, without the batch: (64,) or (28, 28).

        Raises:
            ShapeError: a layer does not take what comes to it; the message names the layer.
        """
        first = self.network.init(Key(self.seed), tuple(sample_shape))
        self.sample_shape = tuple(int(str(dim)) for dim in sample_shape)
        self.parameters = {name: array.astype(self.dtype) for name, array in first.items()}
        self.fresh = frozenset(first)
        self._executables.clear()
        self.averages = self._traced(running_averages)

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Put values in the place of some parameters; the others stay.

        Raises:
            SettingsError: there is no parameter of a name, or its shape is another.
        """
        for name, values in parameters.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none before init"
                raise SettingsError(f"there is no parameter {name!r}; there are {known}")
            array = np.array(values, dtype=self.dtype)
            if array.shape != self.parameters[name].shape:
                raise SettingsError(f"{name} has shape {self.parameters[name].shape}, received {array.shape}")
            self.parameters[name] = array
            self.fresh -= {name}

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the parameters that the optimiser changes."""
        return tuple(name for name in not_frozen(self.parameters, self.frozen) if name not in self.averages)

    def fit(
        self,
        features: Any,
        target: Any,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        steps: int | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        metrics: Sequence[str] = (),
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        early_stopping: EarlyStopping | str | None = None,
        shuffle: bool = True,
        listeners: Iterable[Listener] = (),
        progress: str | bool = "auto",
        run: str | PathLike[str] | Run | None = None,
        resume: bool = False,
        stateful: bool = False,
        checkpoint_steps: int | None = None,
        checkpoint_seconds: float = 10.0,
    ) -> History:
        """Train on samples; a new model gets its parameters here, a trained one goes on from those it has.

        Args:
            features: an array (n, ...), or a table (pandas, polars, a mapping of columns), which is encoded with
                statistics of the training part; the encoding stays with the model.
            target: class indices, values, or (with a table) raw labels.
            epochs, batch_size, steps, shuffle: see `FitSettings`.
            validation_split: the part of the samples, from 0 to 1, that is held out for validation (by class).
            validation_data: validation features and target, and a weight for each sample if they have any, instead.
            metrics: names of scikit-learn's metrics, recorded each epoch in the inference form.
            sample_weight: a weight for each sample: its share in the loss and in metrics, held out or not.
            class_weight: a weight for each class index, or "balanced", in the loss of training alone.
            early_stopping: when to stop before the last epoch, or the quantity to watch.
            listeners: functions that are called with each event.
            progress: "auto", "live", "plain", "notebook", or "quiet" (or False).
            run: a folder to keep settings, history, checkpoints, events and the model in; it holds no run yet,
                unless `resume` is True, and nobody else trains in it. The model is one that `save` takes: its functions
                have names of their own.
            resume: go on from the checkpoint in `run`, which must be of the same settings and data.
            stateful: carry the states of recurrent layers on from batch to batch, the gradients cut between (truncated
                backpropagation through time). The samples are windows in the order of time: batch_size lanes of them
                go on side by side, and begin anew with each epoch; windows beyond a multiple of it are left out.
            checkpoint_steps, checkpoint_seconds: how often a checkpoint is written to `run`.

        Returns:
            The history. After Ctrl-C or SIGTERM, unless ignored, its `reason` is "interrupted" or "terminated".

        Raises:
            DivergedError: the loss became non-finite; the model has the last good weights.
            DataError, SettingsError, ShapeError: something does not fit; nothing was changed.
        """
        watched = fitting.stopping(early_stopping)
        more = (fitting.named(metrics), watched, checkpoint_steps, checkpoint_seconds, stateful)
        settings = FitSettings(epochs, steps, batch_size, shuffle, self.seed, *more)
        folder, listening = fitting.folder_of(run), fitting.listening(listeners)
        shown = progress_listener(progress if isinstance(progress, str) else "auto" if progress else "quiet")
        with nullcontext() if folder is None else folder.held(new=not resume):
            with fitting.unchanged_if_refused(self):
                train, held_out = fitting.prepare(
                    self, features, target, validation_split, validation_data, sample_weight, class_weight
                )
                training = fitting.make_training(self, train, held_out, settings, folder, resume)
            training.listeners += [*listening, *([shown] if shown else [])]
            if folder is not None:
                training.listeners.append(folder.begin(self, settings, training.state if resume else None))
            try:
                return training.run()
            finally:
                if shown is not None:
                    shown.close()
                self.parameters = training.result or copies(training.evaluated)
                if folder is not None:
                    folder.finish(self, training.state.history)

    def find_learning_rate(
        self, features: Any, target: Any, low: float = 1e-6, high: float = 10.0, steps: int = 100, batch_size: int = 32
    ) -> RateTest:
        """Run a learning-rate range test (Smith, 2017) on a copy: steps with rates that grow from `low` to `high`."""
        return rate_test(self, features, target, low, high, steps, batch_size)

    def save(self, path: str | Path) -> None:
        """Write the model to a file, atomically; `cp.load` reads it back. See `model.saving.save`."""
        save(self, path)

    def predict(self, features: Any) -> Array:
        """Return the prediction for each sample.

        What the loss makes of the network's output: probabilities with a cross-entropy, rates, quantiles, or the output
        itself; in the target's units when the model was fitted to a table.
        """
        prediction = self._predict(features)
        if self.encoding is not None and self.encoding.task == "regression":
            return self.loss.in_units(prediction, self.encoding.decode)
        return prediction

    def predict_classes(self, features: Any) -> Array:
        """Return the most probable class of each sample: its label when the model was fitted to a table.

        Of several outputs of a loss of answers, as binary cross-entropy is, each is a question: answered by 0 or 1.

        Raises:
            SettingsError: the loss is not one of classes or of yes-or-no questions.
        """
        if self.loss.task != "classification":
            raise SettingsError(f"a model with {self.loss!r} predicts values, not classes; use predict")
        prediction = self._predict(features)
        if self.encoding is not None:
            return self.encoding.decode(prediction)
        if self.loss.answers:
            answers = (prediction > 0.5).astype(np.int64)
            return answers[..., 0] if answers.shape[-1] == 1 else answers
        return np.asarray(prediction.argmax(axis=-1))

    def evaluate(
        self,
        features: Any,
        target: Any,
        metrics: Sequence[str] = (),
        sample_weight: Any = None,
        *,
        stateful: bool = False,
    ) -> dict[str, float]:
        """Return the mean loss, and metrics by scikit-learn's names, in the inference form.

        The loss is in the units of training; metrics are in the units of the given target. Both are weighted.
        With `stateful` the samples are windows in their order, and states are carried on, in as many lanes as in `fit`.
        """
        samples = self.samples(features, target, sample_weight)
        if stateful:
            samples = lanes_to_measure(samples, 1 if self.lanes is None else self.lanes.count)
        return evaluated(self.compiled_evaluation(samples), self.parameters, samples, fitting.named(metrics))

    def source(self) -> str:
        """Return the complete training step as a Python module that runs with NumPy alone.

        Forward, loss, penalty, backward and update, in the order of the textbook; each block is headed by its
        layer and its quantity. It is the step of the last fit: with weights if there were any.
        """
        parts = map(brief, (self.network.layers, self.loss, self.optimizer))
        title = "One training step of {} with {} and {}.".format(*parts)
        return source_of(self._last_step().readable, "training_step", title)

    def explain(self, stage: str) -> str:
        """Return the training step of the last fit at a stage of its way to the machine.

        "program", "derived", "passes", "kernels", "llvm" or "assembly": see `compile.explain`.

        Raises:
            SettingsError: there is no such stage.
            BackendError: the model's backend has no such stage.
        """
        last = self._last_step()
        return explain(last.step, stage, self.backend, derived_from=last.objective, step=True)

    def _last_step(self) -> StepPrograms:
        """Write the programs of the training step as the last fit ran it."""
        y = self.loss.usual_target(self.output_type()) if self.target is None else self.target
        return self.step_programs(y, self.weighted, self.lanes)

    def samples(self, features: Any, target: Any, sample_weight: Any = None, class_weight: Any = None) -> Samples:
        """Return encoded samples, of the types that the network and the loss take; weights as `fit` takes them.

        Raises:
            DataError: they are not numbers, not finite, or not as many targets as samples.
            ShapeError: the loss does not take such a target.
        """
        return fitting.encoded_samples(self, features, target, sample_weight, class_weight)

    def signature(self, y: Type, weighted: bool, dtype: str | None = None, lanes: Lanes | None = None) -> Signature:
        """Return the types that this model's programs are written for."""
        dtype = dtype or self.dtype
        types = {name: Type(dtype, array.shape) for name, array in self.parameters.items()}
        n = Batch() if lanes is None else lanes.count
        y = Type(dtype if y.dtype.startswith("float") else y.dtype, (n, *y.shape[1:]))
        averages = tuple(name for name in not_frozen(self.parameters, self.frozen) if name in self.averages)
        x = Type(dtype, (n, *self._sample_shape()))
        return Signature(types, self.trainable, x, y, weighted, averages, lanes)

    def step_programs(self, y: Type, weighted: bool, lanes: Lanes | None = None) -> StepPrograms:
        """Write the programs of a training step; `SettingsError` if the optimiser takes no steps on batches."""
        if isinstance(self.optimizer, WholeBatch):
            raise SettingsError(f"{brief(self.optimizer)} takes all samples at once and has no training step")
        return build_step(self.network, self.loss, self.optimizer, self.signature(y, weighted, lanes=lanes))

    def compiled_evaluation(self, samples: Samples) -> Executable:
        """Return the compiled program that gives loss and prediction of each sample."""
        y = given_type(samples.each(samples.y), self.dtype)
        lanes = None if samples.lanes is None else Lanes(samples.lanes, len(samples))
        return self._compiled(
            ("evaluation", y, samples.lanes),
            lambda: build_evaluation(self.network, self.loss, self.signature(y, False, lanes=lanes)),
        )

    def objective_for_check(
        self, features: Any, target: Any, sample_weight: Any = None
    ) -> tuple[Program, dict[str, Array]]:
        """Return the objective in float64 and the arrays to run it with, dropout masks and all held fixed."""
        return fitting.objective_for_check(self, self.samples(features, target), sample_weight)

    def output_type(self) -> Type:
        """Return the type of the network's output for a batch.

        Raises:
            ShapeError: a layer does not take what comes to it; the message names the layer.
        """
        return self._traced(output_type)

    def _traced(self, question: Callable[[Layer, Mapping[str, Type], Type], T]) -> T:
        """Return what a trace of the network for this model's types tells."""
        types = {name: Type(self.dtype, array.shape) for name, array in self.parameters.items()}
        return question(self.network, types, Type(self.dtype, (Batch(), *self._sample_shape())))

    def _sample_shape(self) -> tuple[int, ...]:
        if self.sample_shape is None:
            raise SettingsError("the model has no parameters yet: fit it, or call init with a sample's shape")
        return self.sample_shape

    def _predict(self, features: Any) -> Array:
        x = as_input(features, self.dtype, self.encoding)
        check_samples(x, self._sample_shape(), self.network)
        program = self._compiled(
            ("prediction",),
            lambda: build_prediction(self.network, self.loss, self.signature(self.output_type(), False)),
        )
        each = [x] if len(x) < 2 else [x[part] for part in slices_at_once(program.program, len(x))]
        parts = [program({"x": rows, **self.parameters})["prediction"] for rows in each]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _compiled(self, key: Any, write: Any) -> Executable:
        if key not in self._executables:
            self._executables[key] = compile_program(write(), self.backend)
        return self._executables[key]
