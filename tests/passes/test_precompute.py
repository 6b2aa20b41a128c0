"""What some inputs alone decide is a program of its own, and both together are the whole."""

from __future__ import annotations

import numpy as np

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.ir import Type, verify
from clearprop.ops import Tensor, rule_of
from clearprop.passes import precompute

FLOAT = Type("float64", (3,))


def test_what_stays_is_computed_once() -> None:
    def function(a: Tensor, b: Tensor, x: Tensor, unused: Tensor) -> dict[str, Tensor]:
        shifted = ops.exp(a) * 2.0 + 1.0
        return {"y": ops.sin(x) * shifted + b * 2.0, "z": ops.sum(shifted), "a": a}

    whole = ops.trace(function, {"a": FLOAT, "b": FLOAT, "x": FLOAT, "unused": FLOAT})
    once, each = precompute(whole, ("a", "b", "unused"))
    for part in (once, each):
        verify(part, rule_of)
    assert once.input_names == ("a", "b", "unused")
    assert set(each.input_names) == {"x", "a", *once.output_names}
    assert [node.op for node in each.nodes if node.op not in ("constant", "broadcast_to")] == ["sin", "multiply", "add"]
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=3) for name in whole.input_names}
    known = Reference().compile(once)({name: given[name] for name in once.input_names})
    expected = Reference().compile(whole)(given)
    received = Reference().compile(each)({"x": given["x"], "a": given["a"]} | known)
    assert list(received) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(received[name], array)


def test_without_such_inputs_the_program_is_as_it_was() -> None:
    whole = ops.trace(lambda x: ops.sin(x) * 2.0, {"x": FLOAT})
    once, each = precompute(whole, ())
    assert once.outputs == ()
    assert once.nodes == ()
    assert each.nodes == whole.nodes
    assert each.inputs == whole.inputs
