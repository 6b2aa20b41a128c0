"""Reverse mode: from a program that computes a scalar, a program that computes its gradient too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clearprop.errors import ProgramError
from clearprop.ir import Note, Program, Value, is_float, rename
from clearprop.ops import Tensor, current_builder, primitive, tracing
from clearprop.ops.elementwise import fill_like


def derive(program: Program, wrt: Sequence[str], of: str | None = None) -> Program:
    """Return a program with the same inputs that also gives out the gradient of one scalar output.

    For each name in `wrt` there is an output `grad.<name>`, of the type of that input: the partial derivative
    of the output `of` (the first, when None). It is zero for an input that the output does not depend on.
    The result is an ordinary program, so it can be derived again, to any order; where there is an output
    `grad.<name>` already, the new one is `grad.grad.<name>`.

    Raises:
        ProgramError: the output is not a float scalar, or a name in `wrt` is no float input.

    Source: reverse mode, Linnainmaa (1970); the cotangents of textbook backpropagation are its intermediate
    values.
    """
    of = of or program.output_names[0]
    _check(program, wrt, of)
    with tracing(program.name) as builder:
        tensors = {value: Tensor(builder.input(value.name, value.type, value.note)) for value in program.inputs}
        replay(program, tensors)
        cotangents = _backward(program, tensors, program.output(of), [program.input(name) for name in wrt])
        outputs = {name: tensors[value].value for name, value in program.outputs}
        for name in wrt:
            value = program.input(name)
            if value not in cotangents:
                cotangents[value] = fill_like(tensors[value], 0.0)
            outputs[_free(f"grad.{name}", outputs)] = cotangents[value].value
        return rename(builder.finish(outputs.items()), _letters(cotangents, program.output(of)))


def _free(name: str, taken: Mapping[str, Value]) -> str:
    return _free(f"grad.{name}", taken) if name in taken else name


def replay(program: Program, tensors: dict[Value, Tensor]) -> None:
    """Write the program's nodes into the current trace; `tensors` maps its inputs and receives the rest."""
    builder = current_builder()
    for node in program.nodes:
        inputs = [tensors[value].value for value in node.inputs]
        types = [value.type for value in node.outputs]
        hint, note = node.outputs[0].name, node.outputs[0].note
        for old, new in zip(node.outputs, builder.add(node.op, inputs, node.attrs, types, hint, note), strict=True):
            tensors[old] = Tensor(new)


def _backward(
    program: Program, tensors: Mapping[Value, Tensor], output: Value, wrt: Sequence[Value]
) -> dict[Value, Tensor]:
    """Walk the nodes backwards, handing each output's cotangent to its inputs; sum where a value is reused."""
    builder = current_builder()
    active = _depends_on(program, wrt)
    cotangents: dict[Value, Tensor] = {}
    if output in active:
        cotangents[output] = fill_like(tensors[output], 1.0)
    for node in reversed(program.nodes):
        (out,) = node.outputs
        if out not in cotangents or out not in active:
            continue
        vjp = primitive(node.op).vjp
        if vjp is None:
            continue
        note = out.note
        with builder.at(layer=note.layer, quantity=_cotangent(note.quantity)):
            inputs = [tensors[value] for value in node.inputs]
            contributions = vjp(cotangents[out], tensors[out], *inputs, **node.attrs)
        for value, contribution in zip(node.inputs, contributions, strict=True):
            if contribution is not None and value in active:
                before = cotangents.get(value)
                cotangents[value] = contribution if before is None else before + contribution
    return cotangents


def _letters(cotangents: Mapping[Value, Tensor], output: Value) -> dict[Value, tuple[str, Note]]:
    """Name each cotangent after the value it belongs to; of several, the one that has a textbook letter.

    That of the output itself is just the number 1, and needs no name.
    """
    names: dict[Value, tuple[str, Note]] = {}
    lettered: set[Value] = set()
    for value, tensor in cotangents.items():
        if output in cotangents and tensor.value is cotangents[output].value:
            continue
        prefix, dot, last = value.name.rpartition(".")
        stem = last.rstrip("0123456789").removesuffix("_")  # a second z is named z_2
        has_letter = value.note.quantity != "" and value.note.quantity in (last, stem)
        if tensor.value in names and (tensor.value in lettered or not has_letter):
            continue
        quantity = _cotangent(value.note.quantity)
        names[tensor.value] = (
            f"{prefix}{dot}{quantity if has_letter else 'd' + last}",
            Note(value.note.layer, quantity),
        )
        if has_letter:
            lettered.add(tensor.value)
    return names


def _cotangent(quantity: str) -> str:
    """The letter of a cotangent: delta for dJ/dz, and d before every other letter."""
    return "delta" if quantity == "z" else f"d{quantity}" if quantity else ""


def _depends_on(program: Program, wrt: Sequence[Value]) -> set[Value]:
    """Return every float value that depends on one of `wrt`."""
    active = set(wrt)
    for node in program.nodes:
        if any(value in active for value in node.inputs):
            active.update(value for value in node.outputs if is_float(value.type))
    return active


def _check(program: Program, wrt: Sequence[str], of: str) -> None:
    output = program.output(of)
    if output.type.shape != () or not is_float(output.type):
        raise ProgramError(f"only a float scalar has a gradient; {of} is {output.type}: sum or average it first")
    for name in wrt:
        if not is_float(program.input(name).type):
            raise ProgramError(f"{name} is {program.input(name).type}: only a float input has a gradient")
