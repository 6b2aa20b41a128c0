"""Measure the native backend: `PYTHONPATH=src python tests/backends/native/measure.py [target]`.

Prints, for one thread, in CPU time (the machine may be busy) and as medians of repeats: compile time, microseconds
a training step of the machine code alone and through Python, against the reference; GFLOP/s of products, and of a
loop of fused multiply-adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from native_steps import signature

from clearprop import nn, ops
from clearprop.backends.native import Native, NativeExecutable
from clearprop.backends.native.executable import NativeExecutable as Executable
from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.module import write_module
from clearprop.backends.native.peak import measure_peak
from clearprop.backends.reference import Reference
from clearprop.ir import Program, Type, resolve_shape
from clearprop.losses import CrossEntropy
from clearprop.optim import Adam
from clearprop.passes import optimize
from clearprop.train.step import build_step


def median(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return float(np.median(times))


def machine_seconds(executable: NativeExecutable, inputs: dict[str, np.ndarray], repeats: int = 300) -> float:
    """Seconds of one call of the machine code, without Python's part."""
    executable(inputs)
    n = executable._batch_size(inputs)
    memory = executable._memory(n)
    given = [np.ascontiguousarray(inputs[value.name]) for value in executable.program.inputs]
    created = [np.empty(resolve_shape(type_.shape, n), type_.dtype) for type_ in executable._module.created]
    memory.table[: len(given) + len(created)] = [array.ctypes.data for array in (*given, *created)]
    table, inner = memory.table.ctypes.data, 10
    function, team = executable._function, executable.team.start() if memory.shared else None

    def run() -> None:
        for _ in range(inner):
            function(n, table, team)

    return median(run, repeats) / inner


def step_program(sizes: tuple[int, ...]) -> Program:
    network = nn.Sequential(*(nn.Dense(size, "relu") for size in sizes[1:-1]), nn.Dense(sizes[-1]))
    types = signature(network, CrossEntropy(), sizes[0], "float32")
    return optimize(build_step(network, CrossEntropy(), Adam(), types).step)


def step_inputs(program: Program, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    hyper = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    inputs = {}
    for value in program.inputs:
        shape = resolve_shape(value.type.shape, n)
        drawn = rng.normal(0, 0.05, shape) ** (2 if value.name.endswith(".v") else 1)
        inputs[value.name] = np.asarray(hyper.get(value.name, drawn), value.type.dtype)
    inputs["y"] = rng.integers(0, 2, n)
    return inputs


def measure_step(backend: Native, sizes: tuple[int, ...], n: int) -> None:
    program = step_program(sizes)
    start = time.thread_time()
    module = write_module(program, backend.target)
    written = time.thread_time()
    code = compile_text(module.text, backend.target)
    done = time.thread_time()
    executable = Executable(program, module, code, backend.team)
    inputs = step_inputs(program, n)
    alone = machine_seconds(executable, inputs)
    whole = median(lambda: executable(inputs), 300)
    reference = Reference().compile(program)
    oracle = median(lambda: reference(inputs), 50)
    print(
        f"{'-'.join(map(str, sizes))}, batch {n}: emit {1e3 * (written - start):.0f} ms, LLVM "
        f"{1e3 * (done - written):.0f} ms; step {1e6 * alone:.1f} us, through Python {1e6 * whole:.1f} us, "
        f"reference {1e6 * oracle:.0f} us"
    )


def measure_product(backend: Native, m: int, n: int, k: int, form: str, peak: float) -> None:
    shapes = {"xW": ((m, k), (k, n)), "xTd": ((k, m), (k, n)), "dWT": ((m, k), (n, k))}[form]
    turn = {
        "xW": lambda x, y: x @ y,
        "xTd": lambda x, y: ops.permute_dims(x) @ y,
        "dWT": lambda x, y: x @ ops.permute_dims(y),
    }
    program = ops.trace(turn[form], {"x": Type("float32", shapes[0]), "y": Type("float32", shapes[1])})
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=shape).astype("f4") for name, shape in zip("xy", shapes, strict=True)}
    seconds = machine_seconds(backend.compile(program), inputs, 50)
    rate = 2e-9 * m * n * k / seconds
    print(f"({m}, {n}, {k}) {form}: {1e6 * seconds:.0f} us, {rate:.0f} GFLOP/s, {100 * rate / peak:.0f} % of peak")


def main() -> None:
    backend = Native(sys.argv[1] if len(sys.argv) > 1 else "")
    peak = measure_peak(target=backend.target.name)
    print(f"target {backend.target.name}; FMA peak of one thread {peak:.0f} GFLOP/s")
    for m, n, k in ((64, 128, 784), (128, 512, 784)):
        for form in ("xW", "xTd", "dWT"):
            measure_product(backend, m, n, k, form, peak)
    for sizes, batch in (((64, 32, 10), 32), ((784, 128, 10), 64), ((784, 512, 512, 10), 128)):
        measure_step(backend, sizes, batch)


if __name__ == "__main__":
    main()
