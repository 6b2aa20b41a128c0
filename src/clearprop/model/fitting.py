"""What `Model.fit` does before the loop runs: hold out, encode, weigh, compile, restore."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.compile import choose_backend, compile_program, compile_step
from clearprop.data import Encoding, split
from clearprop.data.storage import take_rows
from clearprop.description import describe
from clearprop.errors import DataError, FileFormatError, SettingsError
from clearprop.files import check_arrays
from clearprop.ir import Program
from clearprop.model.agreement import check_target
from clearprop.model.first_values import start_from_data
from clearprop.model.run import Run
from clearprop.model.samples import (
    as_array,
    as_input,
    as_table,
    as_target,
    check_samples,
    fit_target,
    given_type,
    is_table,
    sample_weights,
)
from clearprop.model.saving import describe_training
from clearprop.optim import SciPyMinimizer, WholeBatch
from clearprop.randomness import Key
from clearprop.train import (
    CheckpointFile,
    Compiled,
    EarlyStopping,
    Fit,
    FitSettings,
    FitState,
    Listener,
    Samples,
    Statistics,
    Task,
    Training,
    build_objective,
    lanes_to_measure,
    lanes_to_train,
    read_checkpoint,
    whole_batch_fit,
)

if TYPE_CHECKING:
    from clearprop.model.model import Model

Array = np.ndarray[Any, Any]


def stopping(choice: EarlyStopping | str | None) -> EarlyStopping | None:
    """Return early stopping that watches a quantity given by name, or the choice as it is."""
    if choice is not None and not isinstance(choice, EarlyStopping | str):
        raise SettingsError(
            "early_stopping is EarlyStopping(quantity, patience), the name of a quantity such as 'val_loss', or None, "
            f"received {choice!r}"
        )
    return EarlyStopping(choice) if isinstance(choice, str) else choice


def folder_of(run: str | PathLike[str] | Run | None) -> Run | None:
    """Return the folder of a run given by its path, or as it is."""
    if run is None or isinstance(run, Run):
        return run
    if not isinstance(run, str | PathLike):
        raise SettingsError(f"run is the path of a folder, a Run or None, received {run!r}")
    if Path(run).is_file():
        raise SettingsError(f"run is the path of a folder, and {run} is a file: give another name")
    return Run(Path(run))


def listening(listeners: Iterable[Listener]) -> list[Listener]:
    """Return the listeners; each is a function."""
    if isinstance(listeners, Iterable) and all(map(callable, found := list(listeners))):
        return found
    raise SettingsError(f"listeners is a list of functions that take an event, received {listeners!r}")


def named(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return metrics by name; one may stand alone."""
    if not isinstance(metrics, Iterable):
        raise SettingsError(f"metrics is a list of names, or one name, received {metrics!r}")
    return (metrics,) if isinstance(metrics, str) else tuple(metrics)


@contextmanager
def unchanged_if_refused(model: Model) -> Iterator[None]:
    """Leave a model as it was where a `with` block, which prepares a fit, ends with an exception."""
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        vars(model).update(before)
        model._executables.clear()
        raise


def prepare(
    model: Model,
    features: Any,
    target: Any,
    validation_split: float,
    validation_data: tuple[Any, ...] | None,
    sample_weight: Any,
    class_weight: Mapping[int, float] | str | None,
) -> tuple[Samples, Samples | None]:
    """Hold out the validation part, encode with the training part's statistics, weigh the samples."""
    if validation_data is not None and validation_split:
        raise SettingsError("give validation_split or validation_data, not both")
    try:
        inside = 0 <= validation_split < 1
    except TypeError:
        inside = False
    if not inside:
        raise SettingsError(f"validation_split lies in [0, 1), received {validation_split!r}")
    if validation_data is not None and not (
        isinstance(validation_data, tuple | list) and len(validation_data) in (2, 3)
    ):
        raise SettingsError(
            "validation_data holds features and target, and a weight for each sample if they have any: (X_val, y_val), "
            f"received {type(validation_data).__name__}"
        )
    kinds = None if model.encoding is None else model.encoding.kinds
    features = as_table(features, kinds) if is_table(features) else as_array(features, "features")
    target = as_array(target, "targets")
    _check_lengths(features, target, sample_weight)
    if validation_split:
        by_class = target if model.loss.task == "classification" else len(target)
        if target.ndim > 1:
            by_class = len(target)
        rows, held_out = split(by_class, validation_split, seed=model.seed)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        validation_data = (_rows(features, held_out), target[held_out], None if weights is None else weights[held_out])
        kept = _rows(features, rows)
        features, target = kept, kept if target is features else target[rows]
        sample_weight = None if weights is None else weights[rows]
    if is_table(features) and model.encoding is None:
        model.encoding = Encoding.fit(features, target, task=model.loss.task, dtype=model.dtype)
    train = model.samples(features, target, sample_weight, class_weight)
    if validation_data is None:
        return train, None
    held = model.samples(*validation_data)
    if not len(held):
        raise DataError("there are no samples to validate with: give some as validation_data, or leave it out")
    return train, held


def _check_lengths(features: Any, target: Array, sample_weight: Any) -> None:
    if not target.ndim or len(features) != len(target):
        targets = len(target) if target.ndim else "no rows of"
        raise DataError(f"there are {len(features)} samples and {targets} targets: give one target a sample")
    if not len(target):
        raise DataError("there are no samples to train on")
    if sample_weight is not None and np.shape(sample_weight) != (len(target),):
        raise SettingsError(f"sample_weight must hold {len(target)} numbers, received shape {np.shape(sample_weight)}")


def _rows(features: Any, rows: Array) -> Any:
    return features.take(rows) if is_table(features) else take_rows(features, rows)


def encoded_samples(
    model: Model, features: Any, target: Any, sample_weight: Any, class_weight: Mapping[int, float] | str | None
) -> Samples:
    """Do what `Model.samples` does."""
    x = as_input(features, model.dtype, model.encoding)
    y = as_target(target, model.dtype, model.encoding)
    if len(x) != len(y):
        raise DataError(f"there are {len(x)} samples and {len(y)} targets: give one target a sample")
    if not model.parameters and model.sample_shape is None:
        model.init(x.shape[1:])
    check_samples(x, model.sample_shape or (), model.network)
    output = model.output_type()
    wanted = model.loss.target_type(output, given_type(y, model.dtype))
    fitted = fit_target(y, wanted, output)
    if target is features and model.encoding is None and (fitted.dtype, fitted.shape) == (x.dtype, x.shape):
        fitted = x  # an autoencoder's: one memory does for both
    check_target(model.loss, fitted)
    decode = model.encoding.decode if model.encoding is not None and model.encoding.task == "regression" else None
    weights = [sample_weights(len(x), fitted, sample_weight, each, model.dtype) for each in (class_weight, None)]
    return Samples(x, fitted, weights[0], decode, model.loss.point, weights[1], model.loss.answers)


def make_training(
    model: Model,
    train: Samples,
    validation: Samples | None,
    settings: FitSettings,
    folder: Run | None,
    resume: bool,
) -> Fit:
    """Compile what the fit runs and give it its first state, or the checkpoint's when the run goes on."""
    model.target, model.weighted, model.lanes = given_type(train.y, model.dtype), train.weight is not None, None
    file = None if folder is None else CheckpointFile(folder.checkpoint, _guard(model, train, validation, settings))
    resumed = _resumed(model, file) if resume else None
    if resumed is None:
        start_from_data(model, train.x, train.y)
    model.fresh = frozenset()
    if settings.stateful:
        train, validation, settings = _in_lanes(model, train, validation, settings)
    start = _Start(model, train, validation, settings, file, resumed)
    fit = start.on_all_samples() if isinstance(model.optimizer, WholeBatch) else start.by_steps()
    if file is not None and resumed is not None:
        fit.check_place(file.path)
    return fit


@dataclass(frozen=True)
class _Start:
    """What a fit starts from; `resumed` is the state of a checkpoint in `file`, if it goes on from one."""

    model: Model
    train: Samples
    validation: Samples | None
    settings: FitSettings
    file: CheckpointFile | None
    resumed: FitState | None

    def on_all_samples(self) -> Fit:
        """Return the fit of an optimiser that takes all samples at once."""
        model = self.model
        assert isinstance(model.optimizer, WholeBatch)
        assert model.target is not None
        signature = model.signature(model.target, model.weighted)
        task = Task(model.network, model.loss, signature, lambda: model.compiled_evaluation(self.train), model.backend)
        state = self.resumed or FitState(dict(model.parameters), {})
        return whole_batch_fit(task, model.optimizer, state, self.settings, self.train, self.validation, self.file)

    def by_steps(self) -> Fit:
        """Return the fit of an optimiser that takes steps on batches."""
        model, resumed = self.model, self.resumed
        assert not isinstance(model.optimizer, WholeBatch)
        assert model.target is not None
        programs = model.step_programs(model.target, model.weighted, model.lanes)
        key = Key(model.seed).child("training").words()
        averaged = bool(programs.evaluated and programs.momenta)
        if self.file is not None and resumed is not None:
            types = {name: programs.slots.output(name).type for name in programs.slots.output_names}
            check_arrays(self.file.path, resumed.slots, types, "the optimiser")
        compiled = Compiled(
            compile_step(programs.step, model.backend, derived_from=programs.objective),
            lambda: model.compiled_evaluation(self.train),
            programs.hyper,
            key,
            model.schedule,
            model.optimizer.hyper(),
            programs.evaluated,
            Statistics(programs, key, model.backend) if averaged else None,
        )
        if resumed is None:
            slots = compile_program(programs.slots, "reference")(model.parameters)  # once: not worth compiling
            resumed = FitState(dict(model.parameters), slots)
        return Training(compiled, resumed, self.settings, self.train, self.validation, checkpoint=self.file)


def _in_lanes(
    model: Model, train: Samples, validation: Samples | None, settings: FitSettings
) -> tuple[Samples, Samples | None, FitSettings]:
    """Lay samples out so that a row of them is a batch, in the order of time."""
    if isinstance(model.optimizer, WholeBatch):
        raise SettingsError(
            f"stateful=True goes from batch to batch, and {type(model.optimizer).__name__} takes all samples at once"
        )
    train, model.lanes = lanes_to_train(train, settings.batch_size)
    validation = None if validation is None else lanes_to_measure(validation, settings.batch_size)
    return train, validation, replace(settings, batch_size=1, shuffle=False)


def _resumed(model: Model, file: CheckpointFile | None) -> FitState:
    """Return the state that a run was left in."""
    if file is None:
        raise SettingsError("resume=True goes on from a run's checkpoint: give run=, the run's folder")
    if isinstance(model.optimizer, SciPyMinimizer):
        raise SettingsError(
            f"{type(model.optimizer).__name__} cannot go on where it was stopped, because SciPy keeps its state to "
            "itself: leave out resume=True, and the model goes on from the weights it has"
        )
    if not file.path.exists():
        raise FileFormatError(f"{file.path} does not exist: there is nothing to resume yet, leave out resume=True")
    return read_checkpoint(file.path, file.guard, model.parameters)


def objective_for_check(model: Model, samples: Samples, sample_weight: Any) -> tuple[Program, dict[str, Array]]:
    """Return the objective in float64 and the arrays to run it with, dropout masks and all held fixed."""
    y = given_type(samples.y, model.dtype)
    signature = model.signature(y, sample_weight is not None, "float64")
    program, hyper = build_objective(model.network, model.loss, signature)
    arrays: dict[str, Any] = {"x": samples.x, "y": samples.y} | model.parameters | hyper
    if sample_weight is not None:
        arrays["weight"] = sample_weight
    arrays |= {"key": Key(model.seed).child("training").words(), "step": 0}
    wanted = {value.name: value.type.dtype for value in program.inputs}
    return program, {name: np.array(arrays[name], dtype=dtype) for name, dtype in wanted.items()}


def _guard(model: Model, train: Samples, validation: Samples | None, settings: FitSettings) -> dict[str, Any]:
    """Return what must be the same when a fit goes on."""
    return {
        "model": describe_training(model),
        "settings": {k: v for k, v in describe(settings).items() if not k.startswith("checkpoint_")},
        "backend": choose_backend(model.backend),
        "data": fingerprint(train),
        "validation": None if validation is None else fingerprint(validation),
        "order of the rows": "Philox 4x32-10" if settings.shuffle else "as they come",
    }


def fingerprint(samples: Samples) -> str:
    """Return a digest of the encoded samples, so that a resumed run notices changed data."""
    digest = hashlib.sha256()
    for array in (samples.x, samples.y, samples.weight):
        if array is not None:
            digest.update(repr((array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
