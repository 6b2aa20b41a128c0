"""The gradient check: derived gradients against differences of the objective, in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.backends.reference import ReferenceExecutable
from clearprop.checks.branches import depends_on, hold
from clearprop.checks.judgement import Finding
from clearprop.checks.report import GradientReport
from clearprop.checks.suspects import find_suspects
from clearprop.checks.tensors import Checker, Form
from clearprop.compile import DEFAULT_BACKEND, value_and_gradient, without_loops
from clearprop.errors import DataError, ProgramError, SettingsError, ShapeError
from clearprop.ir import Program
from clearprop.settings import check_value, number, whole_number
from clearprop.train.diagnose import first_non_finite

if TYPE_CHECKING:
    from clearprop.model import Model

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
_JITTERS = 8
_ULP = 2.0**-52


def check_gradients(
    model: Model,
    features: Any,
    target: Any,
    *,
    sample_weight: Any = None,
    epsilon: float = 1e-3,
    tolerance: float = 1e-6,
    max_entries: int = 64,
    seed: int = 0,
    backend: str = DEFAULT_BACKEND,
) -> GradientReport:
    """Check the gradient of a model's cost, and of its penalty, by every parameter that training changes.

    The programs are those of training (dropout masks are held fixed), in float64 whatever the model's dtype.

    Args:
        model: the model; it is left as it is, except that a new one gets its first parameters.
        features, target, sample_weight: a few samples, as `Model.fit` takes them.
        epsilon, tolerance, max_entries, seed, backend: see `check_objective`.

    Returns:
        The report; print it, or call `raise_if_wrong`.
    """
    if not np.size(target):
        raise DataError("there are no samples to check gradients on: give a few")
    objective, inputs = model.objective_for_check(features, target, sample_weight)
    return check_objective(
        objective,
        model.trainable,
        inputs,
        epsilon=epsilon,
        tolerance=tolerance,
        max_entries=max_entries,
        seed=seed,
        backend=backend,
        left_out=tuple(name for name in model.parameters if name not in model.trainable),
    )


def check_objective(
    objective: Program,
    wrt: Sequence[str],
    inputs: Mapping[str, Array],
    outputs: Sequence[str] = ("cost", "penalty"),
    *,
    epsilon: float = 1e-3,
    tolerance: float = 1e-6,
    max_entries: int = 64,
    seed: int = 0,
    backend: str = DEFAULT_BACKEND,
    left_out: Sequence[str] = (),
) -> GradientReport:
    """Check the gradient of scalar outputs of a program by some of its inputs, at one point.

    The derived gradient is that of the optimised program on a backend. The numeric one comes from centred
    differences of the program as it was written, on the reference backend: extrapolated (Richardson), over a ladder
    of step sizes around epsilon max(1, |value|), with an error bar for each number. Where the two disagree, kinks and
    stop_gradient are looked for; a derivative that is wrong on the smooth piece it belongs to is wrong. When
    something is wrong, the derivative of every operation is checked by itself, to name the one to blame.

    Args:
        objective: a program whose `outputs` are float64 scalars.
        wrt: the names of float64 inputs.
        inputs: every input of the program.
        outputs: what to differentiate, each by itself; names that the program does not have are passed over.
        epsilon: the first step size, relative to max(1, |value|).
        tolerance: the largest relative error allowed.
        max_entries: of a larger tensor so many entries are drawn, with the largest one, and two random directions
            cover the rest.
        seed: of the entries and directions drawn.
        backend: what runs the derived program.
        left_out: names of parameters that the report mentions as not asked for.

    Raises:
        SettingsError: an argument has a value that is not allowed.
        DataError: an output is not finite at this point.
    """
    _check_settings(objective, wrt, epsilon, tolerance, max_entries)
    inputs = {name: np.array(array) for name, array in inputs.items()}
    wrt = tuple(wrt)
    present = tuple(name for name in outputs if name in objective.output_names)
    program = objective.with_outputs(*present)
    _check_finite(program, inputs)
    try:
        gradients = {output: value_and_gradient(program, wrt, output, backend)(inputs) for output in present}
    except (ProgramError, ShapeError) as error:
        suspects = find_suspects(without_loops(program), inputs, wrt, tolerance, seed)
        failure = f"the gradient cannot be derived: {error}"
        return GradientReport((), tolerance, suspects, tuple(left_out), failure)
    program = without_loops(program)  # every time step has decisions, and suspects, of its own
    forms = _forms(program, inputs, set(wrt))
    checker = Checker(forms, _noise(forms[0], wrt, seed), epsilon, tolerance, max_entries, seed)
    tensors = []
    for name in wrt:
        reached = depends_on(program, {name})
        derived = {output: gradients[output][f"grad.{name}"] for output in present}
        due = {output: array for output, array in derived.items() if program.output(output) in reached or array.any()}
        tensors += checker.tensor(name, due)
    tensors.sort(key=lambda tensor: present.index(tensor.output))
    wrong = any(tensor.verdict == "wrong" for tensor in tensors)
    suspects = find_suspects(program, inputs, wrt, tolerance, seed) if wrong else ()
    return GradientReport(tuple(tensors), tolerance, suspects, tuple(left_out))


def _forms(program: Program, inputs: Arrays, wrt: set[str]) -> list[Form]:
    """Return the program as it is, with what stop_gradient keeps held, and with every decision held."""
    forms = [Form(ReferenceExecutable(program), inputs)]
    for branches, agrees in ((False, Finding.STOPPED), (True, Finding.KINK)):
        held = hold(program, inputs, wrt, branches)
        if held is not None and len(held[1]) > len(forms[-1].inputs):
            forms.append(Form(ReferenceExecutable(held[0]), held[1], agrees))
    return forms


def _noise(form: Form, wrt: Sequence[str], seed: int) -> dict[str, float]:
    """Measure the rounding error of each output: how it moves when parameters move by about a unit in the last place.

    Source: the idea of noise estimation for differences, Moré and Wild (2011).
    """
    rng = np.random.default_rng(seed)
    base = form.run(form.inputs)
    noise = {output: _ULP * abs(float(value)) for output, value in base.items()}
    for _ in range(_JITTERS):
        moved = {name: form.inputs[name] * (1 + _ULP * rng.integers(-2, 3, form.inputs[name].shape)) for name in wrt}
        for output, value in form.run({**form.inputs, **moved}).items():
            shift = 2 * abs(float(value) - float(base[output]))
            noise[output] = max(noise[output], shift if math.isfinite(shift) else 0.0)
    return noise


def _check_settings(objective: Program, wrt: Sequence[str], epsilon: float, tolerance: float, max_entries: int) -> None:
    for name, value in (("epsilon", epsilon), ("tolerance", tolerance)):
        check_value("gradient check", name, number("(0, 1)"), value)
    check_value("gradient check", "max_entries", whole_number(1), max_entries)
    narrow = [str(objective.input(name)) for name in wrt if objective.input(name).type.dtype != "float64"]
    if narrow:
        raise SettingsError(f"differences need float64 to mean anything; received {', '.join(narrow)}")


def _check_finite(program: Program, inputs: Arrays) -> None:
    values = ReferenceExecutable(program)(inputs)
    if not all(np.isfinite(value).all() for value in values.values()):
        raise DataError(
            "the objective is not finite here, so that it has no gradient to check: "
            f"{first_non_finite(program, inputs)}. Check the data, or try smaller weights"
        )
