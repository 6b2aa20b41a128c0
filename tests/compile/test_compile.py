"""Backends by name, the one that is taken when none is named, and the note when it cannot run."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from clearprop import compile as composition
from clearprop import ops
from clearprop.backends.native import Native, NativeExecutable, jit, native
from clearprop.backends.native.targets import choose
from clearprop.backends.reference import ReferenceExecutable
from clearprop.compile import choose_backend, compile_program, value_and_gradient
from clearprop.errors import BackendError, BackendNote, ProgramError, SettingsError
from clearprop.ir import Batch, Type

N = Batch()
PROGRAM = ops.trace(lambda x: ops.sum(ops.tanh(x) * x), {"x": Type("float64", (N, 3))}, "loss")
X = np.arange(12.0).reshape(4, 3) / 7


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch):
    monkeypatch.setattr(composition, "_noted", set())


@pytest.fixture
def without_llvm(monkeypatch):
    monkeypatch.setattr(jit, "llvm", None)
    monkeypatch.setattr(jit, "_FAILURE", ImportError("no llvmlite"), raising=False)
    jit.host_features.cache_clear()
    yield
    jit.host_features.cache_clear()


def test_native_is_the_default_where_it_runs():
    assert choose_backend() == "native"
    assert isinstance(compile_program(PROGRAM), NativeExecutable)
    assert isinstance(compile_program(PROGRAM, "reference"), ReferenceExecutable)
    names = ("native", "reference")
    outputs = [value_and_gradient(PROGRAM, ["x"], backend=name)({"x": X})["grad.x"] for name in names]
    np.testing.assert_allclose(*outputs, rtol=1e-14)


def test_without_llvm_programs_run_on_the_reference_and_one_note_says_so(without_llvm):
    with pytest.warns(BackendNote, match=r"llvmlite cannot be imported \(no llvmlite\).*reference backend") as notes:
        run = compile_program(PROGRAM)
    assert len(notes) == 1
    assert isinstance(run, ReferenceExecutable)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(compile_program(PROGRAM), ReferenceExecutable)


def test_native_by_name_is_an_error_where_it_does_not_run(without_llvm):
    with pytest.raises(BackendError, match="llvmlite cannot be imported"):
        compile_program(PROGRAM, "native")


def test_a_cpu_that_has_no_target():
    with pytest.raises(BackendError, match="no code for the CPU riscv64"):
        choose({}, "riscv64")


def test_a_program_with_a_hole_runs_on_the_reference_with_a_note(monkeypatch):
    monkeypatch.setattr(native, "HOLES", frozenset({"tanh"}))
    with pytest.raises(BackendError, match="cannot run tanh of loss"):
        Native().compile(PROGRAM)
    for _ in range(2):  # by name or not
        with pytest.warns(BackendNote, match="cannot run tanh of loss; loss runs on the reference backend"):
            run = compile_program(PROGRAM, "native")
        monkeypatch.setattr(composition, "_noted", set())
    np.testing.assert_array_equal(run({"x": X})["result"], compile_program(PROGRAM, "reference")({"x": X})["result"])
    plain = ops.trace(lambda x: -x, {"x": Type("float64", (N,))})
    assert isinstance(compile_program(plain), NativeExecutable)


def test_an_unknown_backend():
    with pytest.raises(SettingsError, match="no backend 'gpu'; choose one of auto, native, reference"):
        compile_program(PROGRAM, "gpu")


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_batch_size_that_no_input_has(backend):
    for write in (
        lambda x: x + ops.constant(0.0, "float64") * ops.sum(ops.arange(N, "float64")),
        lambda x: x * ops.element_count(ops.broadcast_to(x, (N, 2)), None),
        lambda x: ops.sum(ops.broadcast_to(x, (N, 2))),
    ):
        program = ops.trace(write, {"x": Type("float64", (2,))}, "lost")
        with pytest.raises(ProgramError, match=r"lost: .* depends on the batch size n, which no input"):
            compile_program(program, backend)
