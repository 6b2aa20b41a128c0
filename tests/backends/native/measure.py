"""Measure the native backend: `PYTHONPATH=src python tests/backends/native/measure.py [target]`.

Prints, for one thread, in CPU time (the machine may be busy): GFLOP/s of a loop of fused multiply-adds and of the
products of the networks below, their factors aligned as the arena aligns them, best of repeats; and as medians of
repeats compile time, and microseconds a training step of the machine code alone and through Python, against the
reference.
"""

from __future__ import annotations

import ctypes
import itertools
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
from clearprop.ir import Batch, Program, Type, resolve_shape
from clearprop.losses import CrossEntropy
from clearprop.optim import Adam
from clearprop.passes import optimize
from clearprop.train.step import build_step

NETWORKS = (
    ((64, 32, 10), 32),
    ((30, 64, 64, 2), 32),
    ((784, 128, 10), 64),
    ((784, 512, 512, 10), 128),
    ((784, 256, 64, 256, 784), 128),
    ((1024, 2048, 2048, 1000), 256),
)
"""Digits, tabular, fashion, fashion-xl, autoencoder and wide: the layers and the batch."""


def median(run: Callable[[], object], repeats: int) -> float:
    return float(np.median(seconds(run, repeats)))


def seconds(run: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return times


def aligned(array: np.ndarray) -> np.ndarray:
    block = np.empty(array.nbytes + 64, np.uint8)
    copy = block[-block.ctypes.data % 64 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def machine_code(executable: NativeExecutable, inputs: dict[str, np.ndarray]) -> Callable[[], None]:
    """One call of the machine code, without checks of the inputs and with results made once."""
    executable(inputs)
    n = executable._batch_size(inputs)
    memory = executable._memory(n)
    given = [aligned(inputs[value.name]) for value in executable.program.inputs]
    created = [aligned(np.empty(resolve_shape(type_.shape, n), type_.dtype)) for type_ in executable._module.created]
    for place, array in enumerate((*given, *created)):
        memory.table[place] = array.ctypes.data
    memory.held[:] = [None] * len(given)  # the table no longer holds what they stand for
    table = ctypes.addressof(memory.table)
    function, team = executable._function, executable.team.start() if memory.shared else None

    def run(_: object = (executable, given, created)) -> None:  # holds them for as long as it may be called
        function(n, table, team)

    return run


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
    repeats = 300 if n < 128 else 20
    run = machine_code(executable, inputs)
    alone = median(lambda: [run() for _ in range(10)], repeats // 10) / 10
    whole = median(lambda: executable(inputs), repeats)
    reference = Reference().compile(program)
    oracle = median(lambda: reference(inputs), repeats // 10)
    print(
        f"{'-'.join(map(str, sizes))}, batch {n}: emit {1e3 * (written - start):.0f} ms, LLVM "
        f"{1e3 * (done - written):.0f} ms; step {1e6 * alone:.1f} us, through Python {1e6 * whole:.1f} us, "
        f"reference {1e6 * oracle:.0f} us"
    )


FORMS = {
    "xW": lambda x, y: x @ y,
    "xTd": lambda x, y: ops.permute_dims(x) @ y,
    "dWT": lambda x, y: x @ ops.permute_dims(y),
}


def measure_product(backend: Native, form: str, batch: int, first: int, second: int, peak: float) -> None:
    """The product of a layer's forward pass, of its weights' gradient or of its input's, for a batch of any size."""
    wide = {"xW": first, "xTd": first, "dWT": second}[form]
    across = (Batch(), second) if form == "xTd" else (first, second)
    program = ops.trace(FORMS[form], {"x": Type("float32", (Batch(), wide)), "y": Type("float32", across)})
    rng = np.random.default_rng(0)
    inputs = {item.name: rng.normal(size=resolve_shape(item.type.shape, batch)).astype("f4") for item in program.inputs}
    run = machine_code(backend.compile(program), inputs)
    operations = 2 * batch * first * second
    inner = max(int(2e7 / operations), 1)
    idle = machine_code(backend.compile(ops.trace(lambda x: x, {"x": Type("float32", (0,))})), {"x": np.empty(0, "f4")})
    call = min(seconds(lambda: [idle() for _ in range(1000)], 20)) / 1000
    best = min(seconds(lambda: [run() for _ in range(inner)], 50 if operations < 1e8 else 15)) / inner - call
    rate = 1e-9 * operations / best
    print(f"{batch} x {first} x {second} {form}: {1e6 * best:.1f} us, {rate:.0f} GFLOP/s, {100 * rate / peak:.0f} %")


def main() -> None:
    backend = Native(sys.argv[1] if len(sys.argv) > 1 else "")
    peak = measure_peak(target=backend.target.name)
    print(f"target {backend.target.name}; FMA peak of one thread {peak:.0f} GFLOP/s")
    for sizes, batch in NETWORKS:
        for first, second in dict.fromkeys(itertools.pairwise(sizes)):
            for form in FORMS:
                measure_product(backend, form, batch, first, second, peak)
    for sizes, batch in NETWORKS:
        measure_step(backend, sizes, batch)


if __name__ == "__main__":
    main()
