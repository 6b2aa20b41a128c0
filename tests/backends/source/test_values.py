"""The printed module gives the numbers of the reference backend."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop import ops
from clearprop.backends.reference import Reference
from clearprop.backends.source import argument_names, print_source
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.ops import PRIMITIVES, Operand
from clearprop.passes import optimize
from clearprop.testing import check_primitive, check_program, check_special_values, draw_inputs, random_program

OPERANDS = {
    "learning_rate": Operand((), 0.01, 0.1, "float64"),
    "beta1": Operand((), 0.8, 0.9, "float64"),
    "beta2": Operand((), 0.9, 0.99, "float64"),
    "epsilon": Operand((), 1e-8, 1e-7, "float64"),
    "dropout1.rate": Operand((), 0.2, 0.5, "float64"),
    "key": Operand((2,), 0, 2**32, "uint32"),
    "step": Operand((), 0, 2**40, "int64"),
    "y": Operand((Batch(),), 0, 3, "int64"),
} | {
    f"dense{i}.{letter}.v": Operand(shape, 0.0, 1.0)
    for i, letter, shape in ((1, "W", (4, 5)), (1, "b", (5,)), (2, "W", (5, 3)), (2, "b", (3,)))
}


def operands_of(program):
    inputs = {value.name: value.type for value in program.inputs}
    return {
        name: operand for name, operand in OPERANDS.items() if inputs.get(name, Type("bool")).shape == operand.shape
    }


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_prints_to_its_meaning(name, source):
    assert check_primitive(name, source) > 0


@pytest.mark.parametrize("name", [name for name, operation in PRIMITIVES.items() if operation.elementwise])
def test_infinities_signed_zeros_and_nan_are_kept(name, source):
    check_special_values(name, source)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_step_prints_to_its_meaning(step_name, dtype, make_step, source):
    program = make_step(step_name, dtype)
    assert check_program(program, source, operands=operands_of(program), sizes=(0, 1, 2, 7)) == 4


def test_a_float64_step_is_equal_to_rounding(step_name, make_step, source):
    program = make_step(step_name, "float64")
    inputs = draw_inputs(program, np.random.default_rng(0), 7, operands_of(program))
    with np.errstate(all="ignore"):
        expected = Reference().compile(program)(inputs)
    received = source.compile(program)(inputs)
    for name, array in expected.items():
        np.testing.assert_allclose(received[name], array, rtol=1e-12, atol=0, err_msg=name)


@given(seed=st.integers(0, 2**32), dtype=st.sampled_from(["float32", "float64"]), simplified=st.booleans())
def test_any_program_and_its_gradient_print_to_their_meaning(source, seed, dtype, simplified):
    program = derive(random_program(seed, dtype=dtype), ["x", "W", "b"])
    program = optimize(program) if simplified else program
    check_program(program, source, sizes=(0, 1, 3))


@pytest.mark.parametrize("seed", range(8))
def test_second_derivatives_print_to_their_meaning(seed, second_derivative, source):
    program = second_derivative(random_program(seed, steps=4, smooth=True), "W")
    check_program(program, source, sizes=(1, 3))
    check_program(optimize(program), source, sizes=(1, 3))


def test_branches_print_to_their_meaning(make_branches, source):
    assert check_program(make_branches(), source, sizes=(0, 1, 5)) == 3


def test_the_batch_is_found_in_a_multiple_of_it(source):
    types = {"scale": Type("float64"), "x": Type("float32", (3, Batch(2)))}
    program = ops.trace(lambda scale, x: ops.mean(x) * ops.astype(scale, "float32"), types)
    assert "n = x.shape[1] // 2" in source.compile(program).text
    assert check_program(program, source) > 1


def test_python_numbers_may_stand_for_scalars(make_step, source):
    program = make_step("classifier_dropout_adam")
    inputs = draw_inputs(program, np.random.default_rng(0), 5, operands_of(program))
    plain = {name: array.item() if array.ndim == 0 else array for name, array in inputs.items()}
    printed = source.compile(program)
    first, second = printed(inputs), printed(plain)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_the_module_runs_where_clearprop_cannot_be_imported(tmp_path, make_step):
    program = make_step("classifier_dropout_adam", "float64")
    inputs = draw_inputs(program, np.random.default_rng(0), 5, operands_of(program))
    names = argument_names(program)
    np.savez(tmp_path / "inputs.npz", **{names[name]: array for name, array in inputs.items()})
    (tmp_path / "printed.py").write_text(print_source(program), encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import sys
            from importlib.abc import MetaPathFinder

            class Blocked(MetaPathFinder):
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] in ("clearprop", "scipy", "sklearn"):
                        raise ImportError(f"{name} must not be imported")

            sys.meta_path.insert(0, Blocked())
            sys.path.insert(0, sys.argv[1])
            import numpy as np
            import printed

            outputs = printed.training_step(**np.load(sys.argv[1] + "/inputs.npz"))
            assert not [name for name in sys.modules if name.startswith("clearprop")]
            np.savez(sys.argv[1] + "/outputs.npz", **outputs)
        """),
        encoding="utf-8",
    )
    subprocess.run([sys.executable, "-I", str(script), str(tmp_path)], check=True, timeout=120)
    expected = Reference().compile(program)(inputs)
    with np.load(Path(tmp_path) / "outputs.npz") as received:
        assert list(received) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(received[name], array, rtol=1e-12, atol=0, err_msg=name)
