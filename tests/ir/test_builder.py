"""Names are unique, and a rename never touches what callers rely on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import ProgramError
from clearprop.ir import Batch, Builder, Note, Type, Value, dims_product, rename, resolve_shape

F = Type("float32", (2,))


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "a_2_2", "b", "b_2"]), max_size=30))
def test_unique_names_never_repeat(hints: list[str]) -> None:
    builder = Builder("p")
    names = [builder.unique(hint) for hint in hints]
    assert len(set(names)) == len(names)
    assert all(name.startswith(hint) for name, hint in zip(names, hints, strict=True))


def test_a_taken_name_gets_a_number() -> None:
    builder = Builder("p")
    assert [builder.unique("z") for _ in range(3)] == ["z", "z_2", "z_3"]


def test_an_input_has_exactly_its_name_or_is_refused() -> None:
    builder = Builder("p")
    builder.input("x", F)
    with pytest.raises(ProgramError, match="already has a value named 'x'"):
        builder.input("x", F)


def test_nodes_are_named_after_the_layer_and_the_operation() -> None:
    builder = Builder("p")
    x = builder.input("x", F)
    with builder.at(layer="dense1"):
        (a,) = builder.add("exp", [x], {}, [F])
        with builder.at(quantity="z"):
            (b,) = builder.add("exp", [x], {}, [F])
    (c,) = builder.add("exp", [x], {}, [F])
    assert [(v.name, v.note) for v in (a, b, c)] == [
        ("dense1.exp", Note("dense1")),
        ("dense1.exp_2", Note("dense1", "z")),
        ("exp", Note()),
    ]


def test_the_scope_comes_back_after_an_error() -> None:
    builder = Builder("p")
    with pytest.raises(KeyError), builder.at(layer="a"):
        raise KeyError
    assert builder.scope.layer == ""


@given(st.lists(st.sampled_from(["rename", "add", "other"]), max_size=12))
def test_renaming_while_building_keeps_names_unique(steps: list[str]) -> None:
    builder = Builder("p")
    value = builder.input("x", F)
    for step in steps:
        if step == "rename":
            value = builder.rename(value, "z", Note("", "z"))
        else:
            (value,) = builder.add("exp", [value], {}, [F], "z" if step == "other" else "")
    names = [value.name for value in builder.finish([]).values()]
    assert len(set(names)) == len(names)


def test_only_the_newest_value_is_renamed() -> None:
    builder = Builder("p")
    x = builder.input("x", F)
    (y,) = builder.add("exp", [x], {}, [F])
    assert builder.rename(x, "z", Note()) is x
    renamed = builder.rename(y, "z", Note("l", "z"))
    assert (renamed.name, renamed.note) == ("z", Note("l", "z"))
    assert builder.nodes[-1].outputs == (renamed,)
    assert builder.add("exp", [renamed], {}, [F], "exp")[0].name == "exp"  # the old name is free again


def test_a_whole_program_is_renamed_but_its_inputs_keep_their_names() -> None:
    builder = Builder("p")
    x = builder.input("x", F)
    (y,) = builder.add("exp", [x], {}, [F])
    (z,) = builder.add("exp", [y], {}, [F])
    program = builder.finish([("out", z), ("same", x)])
    elsewhere = Value("q", F)
    renamed = rename(
        program, {x: ("input", Note()), y: ("x", Note("l", "a")), z: ("x", Note()), elsewhere: ("e", Note())}
    )
    assert renamed.input_names == ("x",)
    assert [v.name for v in renamed.values()] == ["x", "x_2", "x_3"]
    assert renamed.nodes[1].inputs == renamed.nodes[0].outputs
    assert renamed.nodes[0].outputs[0].note == Note("l", "a")
    assert [(name, v.name) for name, v in renamed.outputs] == [("out", "x_3"), ("same", "x")]
    assert [v.name for v in program.values()] == ["x", "exp", "exp_2"]


def test_shapes() -> None:
    assert dims_product((Batch(), 28, 28)) == (784, 1)
    assert dims_product((Batch(2), Batch(3))) == (6, 2)
    assert dims_product((Batch(), 0)) == (0, 0) == dims_product((0,))
    assert dims_product(()) == (1, 0)
    assert resolve_shape((Batch(3), 2), 5) == (15, 2)
    assert str(Type("float32", (Batch(), 3, Batch(2)))) == "float32[n, 3, 2n]"
