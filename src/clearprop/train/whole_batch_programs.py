"""Programs over all samples at once: gradient, Hessian times a vector, residuals, Jacobian times a vector."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop import ops
from clearprop.errors import SettingsError
from clearprop.grad import derive, replay
from clearprop.ir import Program, Type
from clearprop.losses import Loss
from clearprop.nn import Context, Layer, applying
from clearprop.ops import Tensor
from clearprop.train.step import Signature, sample_inputs, write_objective

DIRECTION, COTANGENT = "direction.", "cotangent"
"""What leads the names of the inputs that hold a direction, and the input that a Jacobian is derived by."""


def build_whole_objective(network: Layer, loss: Loss, signature: Signature) -> tuple[Program, dict[str, float]]:
    """Write the objective, and return the hyper-parameters of the layers beside it, as `build_objective` does.

    The momentum of running averages is 1: the batch at hand is all there is, so that nothing before it counts.

    Raises:
        SettingsError: a layer has a constraint, which these optimisers would step over between their updates.
    """
    context = Context(training=True, frozen=signature.frozen)
    objective = write_objective(network, loss, signature, context)
    if context.after_update:
        named = ", ".join(context.after_update)
        raise SettingsError(
            f"an optimiser of all samples at once does not keep constraints, and {named} has one: leave the "
            "constraint out, or take an optimiser of steps, such as Adam"
        )
    return objective, context.hyper | dict.fromkeys(context.momenta, 1.0)


def build_hessian_product(objective: Program, wrt: Sequence[str]) -> Program:
    """Write the Hessian of the objective times a direction: `grad.<name>` for each name in `wrt`.

    H v is the gradient of the number grad . v, so that deriving twice is all there is to it.
    """
    derived = derive(objective, wrt, of="objective")
    slope = _along(derived, wrt)
    return derive(slope, wrt, of="slope").with_outputs(*(f"grad.{name}" for name in wrt))


def build_residuals(network: Layer, loss: Loss, signature: Signature) -> Program:
    """Write what is squared and added up in the cost, weights and all: the cost is sum(residual^2).

    Raises:
        SettingsError: the loss is no sum of squares, or a layer has a penalty.
    """
    context = Context(training=True, frozen=signature.frozen)
    with ops.tracing("residuals") as builder, applying(context):
        parameters, x, y, weight = sample_inputs(signature)
        residual = loss.residual(network.apply(parameters, x), y)
        if weight is not None:
            root = ops.sqrt(ops.astype(weight, residual.dtype))
            residual = residual * ops.reshape(root, (*root.shape, *[1] * (residual.rank - 1)))
        scale = ops.sqrt(ops.element_count(residual, 0))
        if context.penalties:
            raise SettingsError(
                "Levenberg-Marquardt and Bayesian regularisation take a sum of squares alone: leave the layers' "
                "penalties out; BayesianRegularization finds one for itself"
            )
        return builder.finish([("residual", (residual / scale).value)])


def build_jacobian_product(residuals: Program, wrt: Sequence[str]) -> Program:
    """Write J v, the change of the residuals along a direction.

    The pullback J'u is linear in u, so that the gradient of (J'u) . v by u is J v: reverse mode twice.
    """
    residual = residuals.output("residual")
    with ops.tracing("pullback") as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type)) for value in residuals.inputs}
        replay(residuals, tensors)
        cotangent = ops.placeholder(COTANGENT, residual.type)
        pulled = builder.finish([("pulled", ops.sum(cotangent * tensors[residual]).value)])
    slope = _along(derive(pulled, wrt), wrt)
    return derive(slope, [COTANGENT], of="slope").with_outputs(f"grad.{COTANGENT}")


def _along(derived: Program, wrt: Sequence[str]) -> Program:
    """Write the gradient of a program times a direction, one number."""
    with ops.tracing("slope") as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type)) for value in derived.inputs}
        replay(derived, tensors)
        total = None
        for name in wrt:
            value = derived.input(name)
            direction = ops.placeholder(f"{DIRECTION}{name}", Type(value.type.dtype, value.type.shape))
            part = ops.sum(tensors[derived.output(f"grad.{name}")] * direction)
            total = part if total is None else total + part
        if total is None:
            raise SettingsError("every parameter is frozen: there is nothing to train")
        return builder.finish([("slope", total.value)])
