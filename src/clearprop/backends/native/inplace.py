"""State in place: which outputs of a training step can be written over the inputs that they replace.

The kernel that makes the new value may read the old one at the same element only, before it writes there, and no
later kernel may read the old value. What cannot be in place is made elsewhere and copied when all kernels are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clearprop.backends.native.kernels import REDUCTIONS, Nest
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.phases import Phases
from clearprop.backends.native.placing import is_placing
from clearprop.backends.native.preparation import copied
from clearprop.backends.native.views import element_of, identity, origin
from clearprop.ir import Program, Value


def separate(program: Program) -> Program:
    """Return a program whose outputs are not inputs, or their elements in another shape, by another name.

    Those could be overwritten before they are read.

    An output that is the input of its own name stays: nothing replaces it.
    """
    inputs = set(program.inputs)
    made = {value: node for node in program.nodes for value in node.outputs}
    nodes, outputs = list(program.nodes), []
    for name, value in program.outputs:
        base = origin(made, value)
        if base in inputs and base.name != name:
            nodes.append(copied(value))
            value = nodes[-1].outputs[0]
        outputs.append((name, value))
    return Program(program.name, program.inputs, tuple(nodes), tuple(outputs))


def replaced(program: Program, groups: Grouping) -> list[tuple[Value, Value]]:
    """Return for each output that replaces an input what holds the new value, and the input."""
    inputs = {value.name: value for value in program.inputs}
    pairs = [(groups.alias.get(value, value), inputs[name]) for name, value in program.outputs if name in inputs]
    return [(new, old) for new, old in pairs if new is not old]


def in_place(
    pairs: Sequence[tuple[Value, Value]],
    groups: Grouping,
    readers: Mapping[Value, Sequence[int]],
    phases: Callable[[int], Phases],
) -> dict[Value, Value]:
    """Return which new values are made in the memory of the old ones.

    Args:
        pairs: new and old values.
        groups: the kernels.
        readers: for every value in memory the places of the kernels that read it.
        phases: gives the schedule of the nest at a place.
    """
    return {
        new: old
        for new, old in pairs
        if new.type == old.type and _is_legal(new, old, groups, readers.get(old, ()), phases)
    }


def _is_legal(new: Value, old: Value, groups: Grouping, places: Sequence[int], phases: Callable[[int], Phases]) -> bool:
    home = groups.home[new]
    if any(place > home for place in places):
        return False
    if home not in places:
        return True
    nest = groups.kernels[home]
    return isinstance(nest, Nest) and _reads_before(nest, new, old, groups, phases(home))


def _reads_before(nest: Nest, new: Value, old: Value, groups: Grouping, phases: Phases) -> bool:
    """Whether a nest reads each element of the old value before it writes the new one there.

    Reductions take their operands in when all elementwise work of the loop is done, which is too late; and what is put
    into place elsewhere is written to other places, after zeros.
    """
    if groups.level[new] != 1 or is_placing(groups.made[new]):
        return False
    if nest.leader is not None and any(origin(groups.made, value) is old for value in nest.leader.node.inputs):
        return False
    written = next(place for place, node in enumerate(nest.nodes) if new in node.outputs)
    again = range(phases.phase[new] + 1, phases.last + 1)
    later = {node.outputs[0] for phase in again for node in phases.needed(phase)}
    for place, node in enumerate(nest.nodes):
        for value in node.inputs:
            source, index = element_of(groups.made, value)
            if groups.alias.get(source, source) is not old:
                continue
            if source is not old or index != identity(old.type.shape) or node.op in REDUCTIONS:
                return False
            if place > written or node.outputs[0] in later:
                return False
    return True
