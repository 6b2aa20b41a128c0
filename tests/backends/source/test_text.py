"""What the printed module looks like."""

import ast
import keyword
import os
from pathlib import Path

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.backends.source import argument_names, print_source
from clearprop.backends.source.names import RESERVED
from clearprop.errors import ProgramError
from clearprop.grad import derive
from clearprop.ir import Batch, Note, Type
from clearprop.passes import optimize
from clearprop.testing import draw_inputs, random_program

GOLDEN = Path(__file__).parent / "golden"
N = Batch()
X = Type("float32", (N, 3))


def test_the_printed_step_is_the_one_reviewed(step_name, make_step):
    """Set CLEARPROP_WRITE_GOLDEN=1 to write the texts anew, and read their differences in review."""
    text = print_source(make_step(step_name), title=f"One training step: {step_name.replace('_', ', ')}.")
    path = GOLDEN / f"{step_name}.py.txt"
    if os.environ.get("CLEARPROP_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "set CLEARPROP_WRITE_GOLDEN=1 if the change is meant"


def test_printing_is_deterministic(step_name, make_step):
    assert print_source(make_step(step_name)) == print_source(make_step(step_name))


def test_every_value_that_a_reader_knows_has_its_line(step_name, make_step, statements):
    written = statements(print_source(make_step(step_name)))
    assert {"dense1_z", "dense1_a", "dense2_z", "cost"} <= set(written)
    assert {f"dense{i}_{letter}" for i in (1, 2) for letter in ("delta", "dW", "db")} <= set(written)
    assert {f"dense{i}_{letter}_new" for i in (1, 2) for letter in "Wb"} <= set(written)
    assert written["dense1_z"] == "x @ dense1_W + dense1_b"
    assert written["dense1_dW"].endswith("x.T @ dense1_delta")
    assert written["dense1_db"] == "np.sum(dense1_delta, axis=0)"


def test_the_sections_and_blocks_follow_the_textbook(make_step):
    text = print_source(make_step("classifier_sgd"))
    headings = [
        line.strip() for line in text.splitlines() if (line.startswith("    # ") and " = " in line) or "----" in line
    ]
    order = [
        "# ---- forward ----",
        "# dense1: z = weighted input",
        "# dense1: a = activation",
        "# dense2: z = weighted input",
        "# ---- loss ----",
        "# loss = the loss of each sample",
        "# cost = the loss of the batch",
        "# dense1: penalty = what the weights cost",
        "# objective = what training makes small",
        "# ---- backward ----",
        "# dloss = d objective / d loss",
        "# dense2: delta = d objective / d z",
        "# dense2: dW = d objective / d W",
        "# dense2: db = d objective / d b",
        "# dense1: da = d objective / d a",
        "# dense1: delta = d objective / d z",
        "# dense1: dW = d objective / d W",
        "# dense1: db = d objective / d b",
        "# ---- update ----",
    ]
    assert headings == order


def test_no_block_comes_twice(step_name, make_step):
    headings = [line for line in print_source(make_step(step_name)).splitlines() if line.startswith("    # ")]
    arguments = print_source(make_step(step_name)).split("):\n")[0]
    headings = [line for line in headings if line not in arguments]
    assert len(headings) == len(set(headings))


def test_the_names_of_branches_and_their_lines(make_branches, statements):
    text = print_source(make_branches())
    assert all(len(line) <= 100 for line in text.splitlines())
    written = statements(text)
    assert written["residual1_a"] == "dense1_a + residual1_inner_dense2_z"
    assert not [name for name in written if "reshape" in name or "broadcast_to" in name]
    assert written["parallel1_dense2_total"].startswith("np.sum(parallel1_dense2_exponential, axis=1")


@pytest.mark.parametrize("seed", range(30))
def test_the_text_is_python_of_short_lines_without_blanks_at_their_ends(seed):
    program = random_program(seed)
    for candidate in (program, optimize(derive(program, ["x", "W", "b"]))):
        text = print_source(candidate)
        ast.parse(text)
        assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())
        assert "\n\n\n\n" not in text


def test_long_expressions_are_broken(source):
    names = [f"a_rather_long_name_of_an_argument_{i}" for i in range(4)]
    program = ops.trace(lambda *xs: xs[0] + xs[1] - (xs[2] + xs[3]), dict.fromkeys(names, X))
    assert_short_and_right(program, source)


def test_long_constants_are_broken(source):
    numbers = ops.trace(lambda x: x + [[i * 0.25 for i in range(60)]] * 3, {"x": Type("float64", (3, 60))})
    assert_short_and_right(numbers, source)


def test_long_calls_are_broken(source):
    names = [f"a_rather_long_name_of_an_argument_{i}" for i in range(4)]
    program = ops.trace(lambda *xs: ops.concat(xs, 1), dict.fromkeys(names, X))
    assert_short_and_right(program, source)


def assert_short_and_right(program, source):
    printed = source.compile(program)
    assert all(len(line) <= 100 for line in printed.text.splitlines())
    from_reference(program, printed)


def from_reference(program, printed):
    inputs = draw_inputs(program, np.random.default_rng(0), 2)
    expected = Reference().compile(program)(inputs)
    received = printed(inputs)
    assert all(np.array_equal(received[name], expected[name]) for name in expected)


# -- names -----------------------------------------------------------------------------------------------------


def test_names_are_identifiers_and_shadow_nothing(source):
    awkward = [
        "dense1.W",
        "dense1_W",
        "lambda",
        "sum",
        "np",
        "math",
        "n",
        "sigmoid",
        "print",
        "__debug__",
        "aﬁ",
        "afi",
        "a²",
    ]
    program = ops.trace(lambda *xs: ops.sigmoid(sum(xs[1:], xs[0])), dict.fromkeys(awkward, X))
    names = argument_names(program)
    assert list(names) == awkward
    assert len(set(names.values())) == len(awkward)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in names.values())
    assert not set(names.values()) & (RESERVED | {"sigmoid"})
    assert names["dense1.W"] == "dense1_W"
    from_reference(program, source.compile(program))


def test_a_value_named_like_an_argument_gets_another_name(source):
    def function(x, weights):
        builder = ops.current_builder()
        with builder.at(layer="dense1"):
            return ops.label(x * weights, "W")

    program = ops.trace(function, {"x": X, "dense1_W": X})
    printed = source.compile(program)
    assert "dense1_W_2 = x * dense1_W" in printed.text


@pytest.mark.parametrize("function", ["np", "1st", "class", "len", "sigmoid"])
def test_a_function_needs_a_free_identifier(function):
    with pytest.raises(ProgramError, match="cannot name the function"):
        print_source(ops.trace(ops.sigmoid, {"x": X}), function=function)


# -- the module ------------------------------------------------------------------------------------------------


def test_only_the_helpers_that_are_used_are_printed():
    helpers = ops.trace(lambda x: ops.erf(x[:, 1:]), {"x": X})
    text = print_source(helpers)
    assert "def erf(x):" in text
    assert "import math" in text
    assert "take_slice" not in text
    assert "import math" not in print_source(ops.trace(ops.exp, {"x": X}))


def test_outputs_come_under_their_names(source):
    program = ops.trace(lambda x: {"x": x, "a.b": x + 1.0, "again": x, "one": ops.constant(1, "int32")}, {"x": X})
    printed = source.compile(program)
    assert list(printed({"x": np.ones((2, 3), np.float32)})) == ["x", "a.b", "again", "one"]
    from_reference(program, printed)


def test_a_program_without_inputs_or_notes_has_no_headings(source):
    program = ops.trace(lambda: {"result": ops.arange(3) + 1}, {})
    printed = source.compile(program)
    assert "def function():" in printed.text
    assert "#" not in printed.text
    assert printed({})["result"].tolist() == [1, 2, 3]


def test_dead_code_is_left_out():
    def function(x):
        ops.exp(x)
        return x * 2.0

    assert "exp" not in print_source(ops.trace(function, {"x": X}))


def test_arguments_stand_in_groups(make_step):
    program = make_step("classifier_dropout_adam")
    head = print_source(program).split("def training_step(")[1].split("):")[0]
    headings = [line.strip() for line in head.splitlines() if line.startswith("    #")]
    assert headings == ["# data", "# parameters", "# hyper-parameters", "# state"]
    assert "    dense1_W,  # (4, 5) float32\n" in head
    assert "    x,  # (n, 4) float32\n" in head
    assert "    step,  # a number, int64\n" in head


def test_groups_may_be_given():
    program = ops.trace(lambda x, y: x + y, {"x": X, "y": X})
    text = print_source(program, groups={"the second": ["y"]})
    assert "(\n    # the second\n    y,  # (n, 3) float32\n    x,  # (n, 3) float32\n):" in text
    with pytest.raises(ProgramError, match="no input 'z'"):
        print_source(program, groups={"wrong": ["z"]})


def test_no_text_of_a_user_becomes_code():
    evil = 'x\n    import os  # """ \\ \u2028 end'

    with ops.tracing("program") as builder:
        doubled = ops.placeholder("x", X) * 2.0
        program = builder.finish([("result", builder.rename(doubled.value, "y", Note(evil, evil)))])
    text = print_source(program, title=evil, groups={evil: ["x"]})
    tree = ast.parse(text)
    assert [type(item).__name__ for item in tree.body] == ["Expr", "Import", "FunctionDef"]
    assert ast.get_docstring(tree).startswith('x import os # """ \\ end')
    assert [type(item).__name__ for item in tree.body[-1].body] == ["Assign", "Return"]


def test_a_broken_program_is_refused():
    first = ops.trace(lambda x: x * 2.0, {"x": X})
    with ops.tracing("second") as builder:
        other = builder.finish(first.outputs)
    with pytest.raises(ProgramError, match="not assigned before"):
        print_source(other)
