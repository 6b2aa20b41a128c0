"""The programs of a fit: the objective, one training step, prediction, evaluation and the first slots.

The step takes everything as arguments and gives everything back: parameters, slots and the step count are state,
the rows x, y (and weight) are the batch, hyper-parameters are float64 scalars. Its outputs carry the names of
the inputs they replace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.grad import derive, replay
from clearprop.ir import Batch, Note, Program, Type
from clearprop.losses import Loss, cost
from clearprop.nn import Context, Layer, applying
from clearprop.nn.context import hyper, step_number
from clearprop.ops import Tensor
from clearprop.optim import Optimizer, at_parameter, check_kept, slots_of

FRESH = "fresh"
"""The input of an evaluation in lanes that says whether all sequences start anew."""


@dataclass(frozen=True)
class Lanes:
    """How samples that carry states on lie side by side.

    Attributes:
        count: how many sequences there are; a batch has one piece of each.
        steps: how many pieces each has: after so many steps an epoch is over, and all start anew.
    """

    count: int
    steps: int


@dataclass(frozen=True)
class Signature:
    """The types that a network, its data and its loss agree on.

    Attributes:
        parameters: the type of every parameter by name.
        trainable: the names of those that training changes.
        x, y: the types of a batch's input and target.
        weighted: whether each sample has a weight.
        averages: the names of those that are running averages, which the network keeps in training.
        lanes: where states are carried from batch to batch; then the data has a row a step, (lanes, ...).
    """

    parameters: Mapping[str, Type]
    trainable: tuple[str, ...]
    x: Type
    y: Type
    weighted: bool = False
    averages: tuple[str, ...] = ()
    lanes: Lanes | None = None

    @property
    def frozen(self) -> frozenset[str]:
        """The parameters that training leaves as they are."""
        return frozenset(self.parameters) - {*self.trainable, *self.averages}


@dataclass(frozen=True)
class StepPrograms:
    """Every program that one fit runs.

    Attributes:
        objective: x, y, parameters -> objective, cost and penalty, in the training form.
        step: one training step; its outputs include `health`, which is 0, or NaN once a new parameter is not
            finite.
        slots: parameters -> the optimiser's first slots.
        hyper: the default of every hyper-parameter by input name, the learning rate and the layers' included.
        momenta: the hyper-parameters that say how much a batch counts in the network's running averages.
        slot_names: the names of all slots.
        evaluated: the parameters that are evaluated by a slot (an average of theirs), and the slot's name.
    """

    objective: Program
    step: Program
    slots: Program
    hyper: Mapping[str, float]
    momenta: tuple[str, ...]
    slot_names: tuple[str, ...]
    evaluated: Mapping[str, str]

    @property
    def readable(self) -> Program:
        """The step without `health`: the program of the textbook."""
        return self.step.with_outputs(*(name for name in self.step.output_names if name != "health"))


def build_step(network: Layer, loss: Loss, optimizer: Optimizer, signature: Signature) -> StepPrograms:
    """Write the objective, derive it, add the optimiser's update."""
    context = Context(training=True, frozen=signature.frozen, carries=signature.lanes is not None)
    objective = write_objective(network, loss, signature, context)
    derived = derive(objective, signature.trainable, of="objective")
    slots = _slots_program(optimizer, signature, context.states)
    evaluated = optimizer.evaluated(signature.trainable)
    with applying(context):
        step = _step_program(derived, optimizer, signature, slots, evaluated, context.after_update)
    values, momenta = optimizer.hyper() | context.hyper, tuple(context.momenta)
    return StepPrograms(objective, step, slots, values, momenta, slots.output_names, evaluated)


def build_objective(
    network: Layer, loss: Loss, signature: Signature, training: bool = True
) -> tuple[Program, dict[str, float]]:
    """Write the forward pass, the loss of each sample, the cost and the objective.

    Returns:
        The program, and the default of each hyper-parameter that the layers take.
    """
    context = Context(training=training, frozen=signature.frozen)
    return write_objective(network, loss, signature, context), context.hyper


def write_objective(network: Layer, loss: Loss, signature: Signature, context: Context) -> Program:
    """Write the objective as `build_objective` does; what the layers tell the trace is left in the context.

    In training the new values of running averages are outputs as well, by their parameters' names.
    """
    with ops.tracing("objective") as builder, applying(context):
        parameters, x, y, weight = sample_inputs(signature)
        if signature.lanes is not None:
            context.fresh = _starts_anew(signature.lanes)
        output = network.apply(parameters, x)
        with builder.at(quantity="loss"):
            per_sample = ops.label(_mixed(loss, output, y, context), "loss")
        with builder.at(quantity="cost"):
            outputs = {"cost": ops.label(cost(per_sample, weight), "cost")}
        objective = outputs["cost"]
        for penalty in context.penalties:
            with builder.at(quantity="penalty"):
                total = penalty if "penalty" not in outputs else outputs["penalty"] + penalty
                outputs["penalty"] = total
        if context.penalties:
            with builder.at(quantity="objective"):
                objective = ops.label(outputs["cost"] + outputs["penalty"], "objective")
        outputs = {"objective": objective} | outputs | context.averages | context.states
        _check_carried(signature, context)
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def _starts_anew(lanes: Lanes) -> Tensor:
    """Tell whether the step at hand is the first one of an epoch."""
    with ops.current_builder().at(quantity="epoch"):
        step, steps = ops.astype(step_number(), "float64"), hyper("steps_an_epoch", float(lanes.steps))
        epochs = ops.astype(ops.astype(step / steps, "int64"), "float64")
        return ops.name(epochs * steps == step, "starts_anew")


def _check_carried(signature: Signature, context: Context) -> None:
    if signature.lanes is not None and not context.states:
        raise SettingsError("stateful=True carries the states of recurrent layers on, and the network has none")


def _mixed(loss: Loss, output: Tensor, y: Tensor, context: Context) -> Tensor:
    """Write the loss of every sample, mixed with that for the target of its partner where a layer mixed the two."""
    per_sample = loss.per_sample(output, y)
    if context.mix is None:
        return per_sample
    weight, partner = context.mix
    own = ops.astype(weight, per_sample.dtype)
    return own * per_sample + (1.0 - own) * loss.per_sample(output, ops.take(y, partner))


def build_prediction(network: Layer, loss: Loss, signature: Signature) -> Program:
    """Write the inference form: x, parameters -> prediction (probabilities, or the output itself)."""
    with ops.tracing("prediction") as builder, applying(Context(training=False)):
        x = ops.placeholder("x", signature.x, Note("", "x"))
        output = network.apply(_parameters(signature), x)
        return builder.finish([("prediction", loss.predict(output).value)])


def build_evaluation(network: Layer, loss: Loss, signature: Signature) -> Program:
    """Write the inference form with the loss: x, y, parameters -> loss of each sample (n,), prediction.

    With `lanes` the states come in and go out as well, and `fresh` says whether all sequences start anew.
    """
    context = Context(training=False, carries=signature.lanes is not None)
    with ops.tracing("evaluation") as builder, applying(context):
        x, y = _rows("x", signature.x, signature), _rows("y", signature.y, signature)
        if signature.lanes is not None:
            context.fresh = ops.placeholder(FRESH, Type("bool"))
        output = network.apply(_parameters(signature), x)
        outputs = {"loss": loss.per_sample(output, y), "prediction": loss.predict(output)} | context.states
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def output_type(network: Layer, parameters: Mapping[str, Type], x: Type) -> Type:
    """Infer the type of the network's output by tracing the inference form."""
    signature = Signature(parameters, (), x, x)
    with ops.tracing("output"), applying(Context(training=False)):
        output = network.apply(_parameters(signature), ops.placeholder("x", x))
    return output.type


def running_averages(network: Layer, parameters: Mapping[str, Type], x: Type) -> tuple[str, ...]:
    """Return the names of the parameters that are running averages, by tracing the training form."""
    context = Context(training=True)
    with ops.tracing("averages"), applying(context):
        network.apply(_parameters(Signature(parameters, (), x, x)), ops.placeholder("x", x))
    return tuple(name for name in parameters if name in context.averages)


def sample_inputs(signature: Signature) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor | None]:
    """Declare samples, weights (if there are any) and parameters as inputs of the program being traced."""
    x, y = _rows("x", signature.x, signature), _rows("y", signature.y, signature)
    weight = _rows("weight", _weight_type(signature), signature) if signature.weighted else None
    return _parameters(signature), x, y, weight


def _rows(name: str, type_: Type, signature: Signature) -> Tensor:
    """Declare a batch's rows; of samples in lanes they are what the one row of the data holds."""
    note = None if name == "weight" else Note("", name)
    if signature.lanes is None:
        return ops.placeholder(name, type_, note)
    row = ops.placeholder(name, type_.with_shape((Batch(), *type_.shape)), note)
    return ops.name(ops.take(row, ops.constant(0, "int64")), f"{name}_now")


def _weight_type(signature: Signature) -> Type:
    return Type(signature.x.dtype if signature.x.dtype.startswith("float") else "float32", signature.x.shape[:1])


def _parameters(signature: Signature) -> dict[str, Tensor]:
    tensors = {}
    for name, type_ in signature.parameters.items():
        layer, _, letter = name.rpartition(".")
        tensors[name] = ops.placeholder(name, type_, Note(layer, letter))
    return tensors


def _slots_program(optimizer: Optimizer, signature: Signature, states: Mapping[str, Tensor]) -> Program:
    """Write the first slots, and among them the states that are carried on, which the first step does not see."""
    with ops.tracing("slots") as builder:
        parameters = _parameters(signature)
        first = optimizer.init_all({name: parameters[name] for name in signature.trainable})
        zero = {name: ops.constant(0.0, state.dtype) for name, state in states.items()}
        first |= {name: ops.broadcast_to(zero[name], state.shape) for name, state in states.items()}
        return builder.finish((name, tensor.value) for name, tensor in first.items())


def _step_program(
    derived: Program,
    optimizer: Optimizer,
    signature: Signature,
    slots: Program,
    evaluated: Mapping[str, str],
    after_update: Mapping[str, Sequence[Callable[[Tensor], Tensor]]],
) -> Program:
    with ops.tracing("training_step") as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type, value.note)) for value in derived.inputs}
        replay(derived, tensors)
        inputs = {value.name: tensors[value] for value in derived.inputs}
        hyper = {name: ops.placeholder(name, Type("float64"), Note("", "hyper")) for name in optimizer.hyper()}
        own = [name for name in slots.output_names if name not in inputs]  # not the states, which are inputs already
        state = {name: ops.placeholder(name, slots.output(name).type) for name in own}
        step = inputs["step"] if "step" in inputs else ops.placeholder("step", Type("int64"))
        with builder.at(quantity="update"):
            hyper["t"] = ops.label(ops.astype(step, "float64") + 1.0, "t")
            names = _as_gradients_come(derived, signature.trainable)
            gradients = {name: tensors[derived.output(f"grad.{name}")] for name in names}
            parameters = {name: inputs[name] for name in names}
            new, slots_after = optimizer.apply(parameters, gradients, state, hyper)
            check_kept(optimizer, parameters | state, {**new, **slots_after})
        outputs = {name: tensors[value] for name, value in derived.outputs if not name.startswith("grad.")}
        for name in signature.trainable:
            changed = {name: new[name]} | {f"{name}.{slot}": x for slot, x in slots_of(name, slots_after).items()}
            for change in after_update.get(name, ()):
                with at_parameter(name):
                    for key in dict.fromkeys((name, evaluated.get(name, name))):
                        changed[key] = change(changed[key])
            outputs |= changed
        objective = tensors[derived.output("objective")]
        outputs["health"] = _health(objective, [outputs[name] for name in (*names, *signature.averages)])
        return builder.finish((name, tensor.value) for name, tensor in outputs.items())


def _as_gradients_come(derived: Program, names: Sequence[str]) -> list[str]:
    """Return the parameters by when the gradients of their layers are complete; those of one layer as they are."""
    places = {value: place for place, node in enumerate(derived.nodes) for value in node.outputs}
    complete: dict[str, int] = {}
    for name in names:
        layer, place = name.rpartition(".")[0], places.get(derived.output(f"grad.{name}"), -1)
        complete[layer] = max(complete.get(layer, -1), place)
    return sorted(names, key=lambda name: complete[name.rpartition(".")[0]])


def _health(objective: Tensor, parameters: list[Tensor]) -> Tensor:
    """0 while the objective and every parameter are finite, and NaN after that: 0 times infinity is NaN.

    Every parameter's sum is added to one before, the first one's too, so that the updates are of one form.
    """
    total = ops.astype(objective * 0.0, "float64")
    for parameter in parameters:
        total = total + ops.astype(ops.sum(parameter * 0.0), "float64")
    return total
