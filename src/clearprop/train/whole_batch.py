"""Fits on all samples at once: SciPy's minimisers, Levenberg-Marquardt, Bayesian regularisation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.compile import compile_program
from clearprop.errors import DivergedError, SettingsError
from clearprop.files import check_arrays
from clearprop.grad import derive
from clearprop.losses import Loss
from clearprop.nn import Layer
from clearprop.optim import BayesianRegularization, LevenbergMarquardt, SciPyMinimizer, WholeBatch
from clearprop.train.diagnose import first_non_finite
from clearprop.train.fit import CheckpointFile, Fit, Samples
from clearprop.train.settings import FitSettings
from clearprop.train.state import Arrays, FitState
from clearprop.train.step import Signature
from clearprop.train.whole_batch_programs import (
    COTANGENT,
    DIRECTION,
    build_hessian_product,
    build_jacobian_product,
    build_residuals,
    build_whole_objective,
)

Array = np.ndarray[Any, Any]
_LARGEST, _SMALLEST = 1e100, 1e-300
"""Where damping ends, and what stands in the place of a norm of 0."""


@dataclass(frozen=True)
class Task:
    """What a fit on all samples is about: the network, its loss, the types, the evaluation, the backend."""

    network: Layer
    loss: Loss
    signature: Signature
    evaluation: Callable[[], Executable]
    backend: str


class _WholeBatchFit(Fit):
    """What the fits share: the data as inputs, and all trainable parameters as one vector of float64."""

    def __init__(
        self,
        task: Task,
        optimizer: WholeBatch,
        state: FitState,
        settings: FitSettings,
        train: Samples,
        validation: Samples | None = None,
        checkpoint: CheckpointFile | None = None,
    ) -> None:
        super().__init__(task.evaluation, state, settings, train, validation, checkpoint=checkpoint)
        self.steps_per_epoch, self.total_steps = 1, min(settings.epochs, settings.steps or settings.epochs)
        self.task, self.optimizer = task, optimizer
        self.names = task.signature.trainable
        self.objective, hyper = build_whole_objective(task.network, task.loss, task.signature)
        if "key" in self.objective.input_names:
            raise SettingsError(
                f"{type(optimizer).__name__} minimises one function, and this network draws random numbers: leave "
                "dropout, noise and mixup out, or take an optimiser of steps, such as Adam"
            )
        if not self.names:
            raise SettingsError("every parameter is frozen: there is nothing to train")
        self.data: Arrays = {"x": train.x, "y": train.y, "step": np.asarray(0, np.int64)}
        self.data |= {} if train.weight is None else {"weight": train.weight}
        self.data |= {name: np.asarray(value, np.float64) for name, value in hyper.items()}
        averages = self.objective.with_outputs(*task.signature.averages)
        self._averages = compile_program(averages, task.backend) if task.signature.averages else None

    @property
    def vector(self) -> Array:
        """The trainable parameters, one after another."""
        return self.flat(self.state.parameters)

    def flat(self, arrays: Mapping[str, Array], lead: str = "") -> Array:
        """Return arrays of the trainable parameters' shapes as one vector."""
        return np.concatenate([arrays[lead + name].ravel() for name in self.names]).astype(np.float64)

    def shaped(self, vector: Array, lead: str = "") -> Arrays:
        """Return the parts of a vector, in the shapes and the dtype of the trainable parameters."""
        parts, start = {}, 0
        for name in self.names:
            like = self.state.parameters[name]
            parts[lead + name] = vector[start : start + like.size].reshape(like.shape).astype(like.dtype)
            start += like.size
        return parts

    def inputs(self, vector: Array, program: Executable, **more: Array) -> Arrays:
        """Return what a program takes, with a vector in the place of the trainable parameters."""
        known = self.data | self.state.parameters | self.shaped(vector) | more
        return {name: known[name] for name in program.program.input_names}

    def accept(self, vector: Array, loss: float, **more: float) -> str:
        """Take over an iteration's result and record it as an epoch; return "finished", or why training ends here."""
        if not (np.isfinite(loss) and np.isfinite(vector).all()):
            known = self.data | self.state.parameters | self.shaped(vector)
            where = first_non_finite(self.objective, {name: known[name] for name in self.objective.input_names})
            raise DivergedError(
                f"training diverged at iteration {self.state.step + 1}: {where}. The weights from before it are kept: "
                "check the scale of the data, or begin with smaller weights"
            )
        self.state.parameters |= self.shaped(vector)
        self._keep_averages()
        self.state.step += 1
        reason = self.end_epoch(loss, **more)
        self._checkpoint_if_due()
        return reason

    def _keep_averages(self) -> None:
        """Bring the network's running averages to the statistics of all samples, for the parameters as they are."""
        if self._averages is not None:
            self.state.parameters |= self._averages(self.inputs(self.vector, self._averages))


class SciPyFit(_WholeBatchFit):
    """A fit by `scipy.optimize.minimize`."""

    optimizer: SciPyMinimizer

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        backend = self.task.backend
        self._gradient = compile_program(derive(self.objective, self.names, of="objective"), backend)
        if self.optimizer.second_order:
            self._product = compile_program(build_hessian_product(self.objective, self.names), backend)
        self._cost: tuple[bytes, float] = (b"", 0.0)

    def value_and_gradient(self, vector: Array) -> tuple[float, Array]:
        """Return the objective and its gradient."""
        outputs = self._gradient(self.inputs(vector, self._gradient))
        self._cost = (vector.tobytes(), float(outputs["cost"]))
        return float(outputs["objective"]), self.flat(outputs, "grad.")

    def hessian_product(self, vector: Array, direction: Array) -> Array:
        """Return the Hessian of the objective times a direction."""
        inputs = self.inputs(vector, self._product, **self.shaped(direction, DIRECTION))
        return self.flat(self._product(inputs), "grad.")

    def run_stretches(self) -> str:
        """Hand the objective to SciPy; each of its iterations is an epoch."""
        reason = "finished"
        if not self._has_more():
            return reason

        def iterated(intermediate_result: Any) -> None:
            nonlocal reason
            vector = np.asarray(intermediate_result.x)
            if self._cost[0] != vector.tobytes():
                self.value_and_gradient(vector)
            reason = self.accept(vector.copy(), self._cost[1])
            if reason != "finished" or not self._has_more():
                raise StopIteration

        minimize = importlib.import_module("scipy.optimize").minimize  # only who asks for it pays for the import
        result = minimize(
            self.value_and_gradient,
            self.vector,
            jac=True,
            hessp=self.hessian_product if self.optimizer.second_order else None,
            method=self.optimizer.method,
            callback=iterated,
            options={"maxiter": self.total_steps} | self.optimizer.options(),
        )
        if not np.isfinite(result.fun):
            self.accept(np.asarray(result.x), float(result.fun))
        return "converged" if result.success and reason == "finished" and self._has_more() else reason

    def run_stretch(self) -> str:
        """All of them: SciPy does not hand its iterations out one by one."""
        return self.run_stretches()


class LevenbergMarquardtFit(_WholeBatchFit):
    """A fit by damped Gauss-Newton; its state is complete, so that a resumed one gives the same bits."""

    optimizer: LevenbergMarquardt

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        task = self.task
        residuals = build_residuals(task.network, task.loss, task.signature)
        self._residuals = compile_program(residuals, task.backend)
        self._product = compile_program(build_jacobian_product(residuals, self.names), task.backend)
        if not self.state.slots:
            self.state.slots = self.first_slots()

    def first_slots(self) -> Arrays:
        """Return the slots before the first step."""
        scale = np.zeros(len(self.vector))
        return {"damping": np.array(self.optimizer.damping), "scale": scale, "weight_penalty": np.array(0.0)}

    def check_place(self, path: Path) -> None:
        """Raise `FileFormatError` if the state, which was read from a file, is none of this fit."""
        super().check_place(path)
        check_arrays(path, self.state.slots, self.first_slots(), "the optimiser")

    def residuals(self, vector: Array) -> Array:
        """Return all residuals, in float64."""
        return self._residuals(self.inputs(vector, self._residuals))["residual"].ravel().astype(np.float64)

    def jacobian(self, vector: Array, rows: int) -> Array:
        """Return the derivative of each residual (rows) by each parameter (columns)."""
        inputs = self.inputs(vector, self._product, **{COTANGENT: self._zero()}, **self.shaped(vector * 0, DIRECTION))
        columns = np.empty((rows, len(vector)))
        for name, start, size in self._places():
            direction = np.zeros_like(inputs[DIRECTION + name])
            for i in range(size):
                direction.flat[i] = 1.0
                outputs = self._product(inputs | {DIRECTION + name: direction})
                columns[:, start + i] = outputs[f"grad.{COTANGENT}"].ravel()
                direction.flat[i] = 0.0
        return columns

    def run_stretch(self) -> str:
        """Take one step that lowers the objective; at its minimum, the Bayesian penalty may still have to settle."""
        slots, tolerance = self.state.slots, self.optimizer.tolerance
        w = self.vector
        r = self.residuals(w)
        if not np.isfinite(r).all():
            return self.accept(w, float("nan"))
        jacobian = self.jacobian(w, len(r))
        slots["scale"] = np.maximum(slots["scale"], np.linalg.norm(jacobian, axis=0))
        scale = np.where(slots["scale"] > 0, slots["scale"], 1.0)
        penalty = float(slots["weight_penalty"])
        step = self._search(jacobian, r, w, scale)
        if self.stop.reason and not step.any():
            return self.stop.reason
        moved = self.residuals(w + step)
        more = self._regularise(jacobian, moved, w + step)
        settled = abs(float(slots["weight_penalty"]) - penalty) <= tolerance * penalty
        if settled and not step.any():
            return "converged"
        now = _squares(r, w, penalty)
        fall = now - _squares(moved, w + step, penalty)
        small = np.linalg.norm(scale * step) < tolerance * np.linalg.norm(scale * w) or fall < tolerance**2 * now
        reason = self.accept(w + step, float(moved @ moved), **more)
        return "converged" if small and settled and reason == "finished" else reason

    def _search(self, jacobian: Array, r: Array, w: Array, scale: Array) -> Array:
        """Return the first step that lowers the objective, with more and more damping; zeros if none does."""
        slots, optimizer = self.state.slots, self.optimizer
        penalty, mu = float(slots["weight_penalty"]), float(slots["damping"])
        now = _squares(r, w, penalty)
        while not self.stop.reason:
            step = _damped_step(jacobian, r, w, scale, mu, penalty)
            lower = _squares(self.residuals(w + step), w + step, penalty) < now
            slots["damping"] = np.array(mu * (optimizer.shrink if lower else optimizer.grow))
            if lower:
                return step
            if np.linalg.norm(scale * step) < optimizer.tolerance * np.linalg.norm(scale * w) or mu > _LARGEST:
                break
            mu = float(slots["damping"])
        return np.zeros_like(w)

    def _regularise(self, jacobian: Array, r: Array, w: Array) -> dict[str, float]:
        """Set the weight penalty alpha / beta anew, and return what the epoch records of it."""
        if not isinstance(self.optimizer, BayesianRegularization):
            return {}
        before = float(self.state.slots["weight_penalty"])
        values = np.linalg.svd(jacobian, compute_uv=False) ** 2
        effective = float(np.sum(values / (values + before))) if before else float(len(values))
        free = max(len(r) - effective, 1e-3)
        penalty = effective * float(r @ r) / (free * max(float(w @ w), _SMALLEST))
        self.state.slots["weight_penalty"] = np.array(penalty)
        return {"effective_parameters": effective, "weight_penalty": penalty}

    def _zero(self) -> Array:
        value = self._product.program.input(COTANGENT)
        shape = (len(self.train), *(int(str(dim)) for dim in value.type.shape[1:]))
        return np.zeros(shape, value.type.dtype)

    def _places(self) -> list[tuple[str, int, int]]:
        """Where each parameter stands in the vector."""
        places, start = [], 0
        for name in self.names:
            size = self.state.parameters[name].size
            places.append((name, start, size))
            start += size
        return places


def _squares(r: Array, w: Array, penalty: float) -> float:
    """The sum of squares that is minimised; infinite where it cannot be computed."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(r @ r + penalty * (w @ w))
    return total if np.isfinite(total) else float("inf")


def _damped_step(jacobian: Array, r: Array, w: Array, scale: Array, mu: float, penalty: float) -> Array:
    """Solve (J'J + penalty I + mu D^2) d = -(J'r + penalty w) by least squares, in units of D."""
    rows, rest = [jacobian / scale, np.sqrt(mu) * np.eye(len(w))], [-r, np.zeros(len(w))]
    if penalty:
        rows.append(np.sqrt(penalty) * np.diag(1 / scale))
        rest.append(-np.sqrt(penalty) * w)
    solution: Array = np.linalg.lstsq(np.vstack(rows), np.concatenate(rest), rcond=None)[0]
    return solution / scale


def whole_batch_fit(
    task: Task,
    optimizer: WholeBatch,
    state: FitState,
    settings: FitSettings,
    train: Samples,
    validation: Samples | None,
    checkpoint: CheckpointFile | None,
) -> Fit:
    """Return the fit that an optimiser of whole batches runs."""
    kind: type[_WholeBatchFit] = SciPyFit if isinstance(optimizer, SciPyMinimizer) else LevenbergMarquardtFit
    return kind(task, optimizer, state, settings, train, validation, checkpoint)
