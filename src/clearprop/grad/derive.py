"""Reverse mode: from a program that computes a scalar, a program that computes its gradient too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clearprop.errors import ProgramError
from clearprop.ir import Node, Note, Program, Value, is_float, rename
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
        inputs = [program.input(name) for name in wrt]
        output = program.output(of)
        line = Linearised(program, tensors, inputs)
        gradients = line.pull({output: fill_like(tensors[output], 1.0)} if output in line.active else {})
        outputs = {name: tensors[value].value for name, value in program.outputs}
        for name, value in zip(wrt, inputs, strict=True):
            gradient = _sum(gradients[value]) if value in gradients else fill_like(tensors[value], 0.0)
            line.cotangents[value] = gradient
            outputs[_free(f"grad.{name}", outputs)] = gradient.value
        return rename(builder.finish(outputs.items()), line.letters(output))


def _free(name: str, taken: Mapping[str, Value]) -> str:
    return _free(f"grad.{name}", taken) if name in taken else name


def replay(program: Program, tensors: dict[Value, Tensor]) -> None:
    """Write the program's nodes into the current trace; `tensors` maps its inputs and receives the rest."""
    for node in program.nodes:
        _repeat(node, tensors)


def _repeat(node: Node, tensors: dict[Value, Tensor]) -> None:
    repeated = current_builder().repeat(node, [tensors[value].value for value in node.inputs])
    tensors.update(zip(node.outputs, map(Tensor, repeated), strict=True))


class Linearised:
    """A program written into the current trace in a form that can be walked backwards.

    Args:
        program: what is written.
        tensors: maps the program's inputs, and receives the rest.
        wrt: the inputs that are differentiated.

    Attributes:
        active: the float values that depend on them.
        cotangents: of the program's values, as far as they are known.
    """

    def __init__(self, program: Program, tensors: dict[Value, Tensor], wrt: Sequence[Value]) -> None:
        self.program, self.tensors = program, tensors
        self.active = program.dependents(wrt, floats=True)
        self.cotangents: dict[Value, Tensor] = {}
        self._pulls: dict[Node, Callable[[Sequence[Tensor | None]], Sequence[Tensor | None]]] = {}
        for node in program.nodes:
            if primitive(node.op).augment is None or self.active.isdisjoint(node.outputs):
                _repeat(node, tensors)
            else:
                self._augment(node)

    def _augment(self, node: Node) -> None:
        """Write a node in the form that its derivative needs, under the names of the plain one."""
        augment = primitive(node.op).augment
        assert augment is not None
        inputs = [self.tensors[value] for value in node.inputs]
        results, self._pulls[node] = augment(
            Linearised, inputs, [value in self.active for value in node.inputs], **node.attrs
        )
        for old, result in zip(node.outputs, results, strict=True):
            result.value = current_builder().rename(result.value, old.name, old.note)
            self.tensors[old] = result

    def pull(self, seeds: Mapping[Value, Tensor]) -> dict[Value, list[Tensor]]:
        """Walk the nodes backwards, handing each output's cotangent to its inputs; sum where a value is reused.

        Args:
            seeds: the cotangents that the walk starts with.

        Returns:
            For each value that a cotangent came to, what it is the sum of.
        """
        terms = {value: [tensor] for value, tensor in seeds.items()}
        for node in reversed(self.program.nodes):
            outs = [value if value in terms and value in self.active else None for value in node.outputs]
            if not any(outs):
                continue
            for out in outs:
                if out is not None:
                    self.cotangents[out] = _sum(terms[out])
            given = [None if out is None else self.cotangents[out] for out in outs]
            for value, contribution in zip(node.inputs, self._contributions(node, given), strict=True):
                if contribution is not None and value in self.active:
                    terms.setdefault(value, []).append(contribution)
        return terms

    def _contributions(self, node: Node, given: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        note, vjp = node.outputs[0].note, primitive(node.op).vjp
        with current_builder().at(layer=note.layer, quantity=_cotangent(note.quantity)):
            if node in self._pulls:
                return self._pulls[node](given)
            if vjp is None:
                return [None] * len(node.inputs)
            (out,) = node.outputs
            contributions: Sequence[Tensor | None] = vjp(
                given[0], self.tensors[out], *[self.tensors[value] for value in node.inputs], **node.attrs
            )
            return contributions

    def letters(self, output: Value | None = None) -> dict[Value, tuple[str, Note]]:
        """Name each cotangent after the value it belongs to; that of the output itself is just 1, and has no name."""
        return _letters(self.cotangents, output)


def _sum(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _letters(cotangents: Mapping[Value, Tensor], output: Value | None) -> dict[Value, tuple[str, Note]]:
    """Name each cotangent after the value it belongs to; of several, the one that has a textbook letter.

    That of the output itself is just the number 1, and needs no name.
    """
    names: dict[Value, tuple[str, Note]] = {}
    lettered: set[Value] = set()
    for value, tensor in cotangents.items():
        if output is not None and output in cotangents and tensor.value is cotangents[output].value:
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


def _check(program: Program, wrt: Sequence[str], of: str) -> None:
    output = program.output(of)
    if output.type.shape != () or not is_float(output.type):
        raise ProgramError(f"only a float scalar has a gradient; {of} is {output.type}: sum or average it first")
    for name in wrt:
        if not is_float(program.input(name).type):
            raise ProgramError(f"{name} is {program.input(name).type}: only a float input has a gradient")
