"""The programs of a multilayer perceptron as scikit-learn trains one, compiled once in a process.

With m the number of rows of a batch, or the sum of their weights w_i, what a step follows is the gradient of

    objective = (1/m) (sum_i w_i loss_i + alpha/2 sum_l ||W_l||^2),

where the loss of a row adds up over the outputs. What is reported, the cost, is the same but for two things: squared
errors are averaged over the outputs, and probabilities are kept machine epsilon away from 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from clearprop import ops
from clearprop.backends.protocol import CompiledStep, Executable
from clearprop.compile import compile_program, compile_step
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Program, Type
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, Loss, Poisson, SquaredError
from clearprop.losses.regression import positive
from clearprop.nn import Context, Dense, Sequential, applying
from clearprop.ops import Tensor
from clearprop.optim import Momentum, Nesterov, Optimizer
from clearprop.optim.optimizer import Slots, scaled, zeros_like

EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
"""How far from 0 and 1 the probabilities of the reported loss are kept: machine epsilon."""

_KEPT = 128
_ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


LOSSES: dict[str, Loss] = {
    "identity": SquaredError(0.5, over="sum"),
    "exp": Poisson(over="sum"),
    "softmax": CrossEntropy(),
    "logistic": BinaryCrossEntropy(over="sum"),
}
"""What a step follows, by scikit-learn's name of the output activation, which `Loss.predict` applies."""


@dataclass(frozen=True)
class AdamByRate(Optimizer):
    """Adam with the corrections in the rate (Kingma and Ba, 2015, end of section 2), as in scikit-learn.

    w <- w - rate m / (sqrt(v) + epsilon); the caller gives rate = learning_rate sqrt(1 - beta2^t) / (1 - beta1^t).
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def init(self, parameter: Tensor) -> Slots:
        """The first and second moments, zero."""
        return {"m": zeros_like(parameter), "v": zeros_like(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], hyper: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """Write the new moments and w less the step."""
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        m = scaled(beta1, slots["m"]) + scaled(1.0 - beta1, gradient)
        v = scaled(beta2, slots["v"]) + scaled(1.0 - beta2, ops.square(gradient))
        step = scaled(hyper["learning_rate"], m) / (ops.sqrt(v) + ops.astype(hyper["epsilon"], v.dtype))
        return parameter - step, {"m": m, "v": v}


OPTIMIZERS: dict[str, tuple[Optimizer, tuple[str, ...]]] = {
    "adam": (AdamByRate(), ("m", "v")),
    "momentum": (Momentum(), ("velocity",)),
    "nesterov": (Nesterov(), ("velocity",)),
}
"""The updates by name, with their slots."""


@dataclass(frozen=True)
class Perceptron:
    """What decides the programs of a perceptron.

    Attributes:
        units: the number of features, of each hidden layer's units, and of outputs.
        hidden, output: the activations by scikit-learn's names.
        dtype: of the parameters and the arithmetic.
    """

    units: tuple[int, ...]
    hidden: str
    output: str
    dtype: str

    @property
    def network(self) -> Sequential:
        """The layers, up to the logits."""
        hidden = [Dense(units, _ACTIVATIONS[self.hidden]) for units in self.units[1:-1]]
        return Sequential(*hidden, Dense(self.units[-1]))

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in scikit-learn's order: all weights, then all biases."""
        layers = range(1, len(self.units))
        return (*(f"dense{i}.W" for i in layers), *(f"dense{i}.b" for i in layers))

    @lru_cache(maxsize=_KEPT)  # noqa: B019 - by value: a perceptron is as small as its key
    def prediction(self) -> Executable:
        """Return the compiled program x, parameters -> prediction."""
        with ops.tracing("prediction") as builder, applying(Context(training=False)):
            x, parameters = self._rows("x", self.units[0]), self._parameters()
            output = LOSSES[self.output].predict(self.network.apply(parameters, x))
            return compile_program(builder.finish([("prediction", output.value)]))

    @lru_cache(maxsize=_KEPT)  # noqa: B019
    def gradients(self, weighted: bool) -> Executable:
        """Return the compiled program x, y, (weight,) alpha, parameters -> cost and grad.NAME."""
        objective = self.objective(weighted)
        derived = derive(objective, self.names, of="objective")
        wanted = ("cost", *(f"grad.{name}" for name in self.names))
        return compile_program(derived.with_outputs(*wanted), derived_from=objective)

    @lru_cache(maxsize=_KEPT)  # noqa: B019
    def step(self, weighted: bool, update: str) -> CompiledStep:
        """Return the compiled training step: the same, the slots and hyper-parameters -> cost, parameters and slots.

        Like scikit-learn it goes on when numbers are not finite: `objective` and `health`, by which a stepper would
        stop, are 0.
        """
        objective = self.objective(weighted)
        derived = derive(objective, self.names, of="objective")
        optimizer, slot_names = OPTIMIZERS[update]
        with ops.tracing("training_step") as builder:
            tensors = {value: Tensor(builder.input(value.name, value.type, value.note)) for value in derived.inputs}
            replay(derived, tensors)
            hyper = {name: ops.placeholder(name, Type("float64")) for name in optimizer.hyper()}
            outputs = {"cost": tensors[derived.output("cost")], "objective": ops.constant(0.0, self.dtype)}
            outputs["health"] = ops.constant(0.0, "float64")
            for value in derived.inputs:
                if value.name in self.names:
                    name = value.name
                    slots = {slot: ops.placeholder(f"{name}.{slot}", value.type) for slot in slot_names}
                    gradient = tensors[derived.output(f"grad.{name}")]
                    outputs[name], new = optimizer.update(tensors[value], gradient, slots, hyper)
                    outputs |= {f"{name}.{slot}": tensor for slot, tensor in new.items()}
            program = builder.finish((name, tensor.value) for name, tensor in outputs.items())
        return compile_step(program, derived_from=objective)

    def objective(self, weighted: bool) -> Program:
        """Write what is reported and what is followed: x, y, (weight,) alpha, parameters -> cost, objective."""
        loss = LOSSES[self.output]
        with ops.tracing("objective") as builder, applying(Context(training=False)):
            x, y, parameters = self._rows("x", self.units[0]), self._rows("y", self.units[-1]), self._parameters()
            weight = ops.placeholder("weight", Type(self.dtype, (Batch(),))) if weighted else None
            alpha = ops.astype(ops.placeholder("alpha", Type("float64")), self.dtype)
            squares = [ops.sum(ops.square(parameters[name])) for name in self.names if name.endswith(".W")]
            penalty = 0.5 * alpha * sum(squares[1:], squares[0])
            output = self.network.apply(parameters, x)
            followed = loss.per_sample(output, y)
            reported = self._reported(followed, loss.predict(output), y)
            total = ops.element_count(followed) if weight is None else ops.sum(weight)
            outputs = {
                name: (ops.sum(per_sample if weight is None else per_sample * weight) + penalty) / total
                for name, per_sample in (("cost", reported), ("objective", followed))
            }
            return builder.finish((name, tensor.value) for name, tensor in outputs.items())

    def _reported(self, followed: Tensor, prediction: Tensor, y: Tensor) -> Tensor:
        """Write the loss of every sample as scikit-learn reports it, from the one that is followed."""
        if self.output == "identity":
            return followed / float(self.units[-1])
        if self.output == "exp":
            return followed + ops.sum(y * ops.log(positive(y)) - y, 1)  # half the deviance
        epsilon = EPSILON[self.dtype]
        p = ops.minimum(ops.maximum(prediction, epsilon), 1.0 - epsilon)
        if self.output == "softmax":
            return -ops.log(ops.sum(y * p, 1))  # y is 1 for one class and else 0
        return -ops.sum(ops.log(y * p + (1.0 - y) * (1.0 - p)), 1)  # y is 0 or 1

    def _rows(self, name: str, width: int) -> Tensor:
        return ops.placeholder(name, Type(self.dtype, (Batch(), width)))

    def _parameters(self) -> dict[str, Tensor]:
        shapes = [(rows, columns) for rows, columns in zip(self.units, self.units[1:], strict=False)]
        types = [Type(self.dtype, shape) for shape in [*shapes, *((columns,) for _, columns in shapes)]]
        return {name: ops.placeholder(name, type_) for name, type_ in zip(self.names, types, strict=True)}
