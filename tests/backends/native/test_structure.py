"""What the emitted module looks like: fusion, shared kernels, the arena, the way in to LLVM."""

import ast
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from native_steps import programs

import clearprop.backends.native as package
from clearprop import ops
from clearprop.backends.native import Native
from clearprop.backends.native.arena import Interval, lay_out, plan
from clearprop.backends.native.cuts import cut_product
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Nest, Product
from clearprop.backends.native.lowering import HOLES, Grouping
from clearprop.backends.native.module import write_module
from clearprop.backends.native.preparation import prepare
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.views import full_index, resolve
from clearprop.ir import Batch, Shape, Type
from clearprop.ops import Tensor

N = Batch()


def test_no_primitive_is_a_hole() -> None:
    assert not HOLES


def test_only_jit_imports_llvm() -> None:
    for path in Path(package.__file__).parent.rglob("*.py"):
        names = [
            alias.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        ]
        assert path.name == "jit.py" or not any(name.startswith("llvmlite") for name in names)


def test_a_chain_of_elementwise_work_and_its_softmax_are_one_kernel() -> None:
    program = ops.trace(lambda x: ops.softmax(ops.tanh(x) * 2.0 + 1.0), {"x": Type("float32", (N, 10))})
    kernels = Grouping(prepare(program)).kernels
    assert len(kernels) == 1
    assert isinstance(kernels[0], Nest)
    assert kernels[0].split == 1


def test_a_product_of_few_terms_joins_the_work_around_it() -> None:
    inputs = {"x": Type("float32", (N, 2)), "W": Type("float32", (2, 8)), "b": Type("float32", (8,))}
    program = ops.trace(lambda x, W, b: ops.tanh(x @ W + b), inputs)
    (kernel,) = Grouping(prepare(program)).kernels
    assert isinstance(kernel, Nest)


def test_the_second_factor_of_few_terms_is_turned_once() -> None:
    inputs = {"d": Type("float32", (N, 2)), "W": Type("float32", (64, 2))}
    program = ops.trace(lambda d, W: d @ ops.permute_dims(W), inputs)
    turn, product = Grouping(prepare(program)).kernels
    assert isinstance(turn, Nest)
    assert [node.op for node in turn.nodes] == ["stop_gradient"]
    assert isinstance(product, Nest)
    assert [node.op for node in product.nodes] == ["multiply", "multiply", "add"]


def test_a_product_of_more_terms_is_a_kernel_of_its_own() -> None:
    inputs = {"x": Type("float32", (N, 3)), "W": Type("float32", (3, 8))}
    (kernel,) = Grouping(prepare(ops.trace(lambda x, W: x @ W, inputs))).kernels
    assert isinstance(kernel, Product)


def test_a_short_line_is_loaded_before_anything_of_it_is_stored() -> None:
    inputs = {"x": Type("float32", (N, 64)), "b": Type("float32", (64,))}
    program = ops.trace(lambda x, b: ops.maximum(x + b, 0.0), inputs)
    text = write_module(program, TARGETS["avx512"]).text
    kernel = text[text.index("@kernel0(") :].split("\n}\n", 1)[0]
    assert kernel.count(" phi ") == 1  # the rows; the four vectors of one need no loop
    loads, stores = ([m.start() for m in re.finditer(f"{what} <16 x float>", kernel)] for what in ("load", "store"))
    assert (len(loads), len(stores)) == (8, 4)
    assert max(loads) < min(stores)


def test_updates_of_parameters_of_any_shape_share_their_code() -> None:
    text = write_module(programs("mlp", "float32")["step"], TARGETS["avx2"]).text
    # the updates of four parameters are loops over one axis; its length is an argument
    assert text.count("define internal void @kernel") < text.count("  call void @kernel")


def test_what_several_threads_write_is_asked_for() -> None:
    program = ops.trace(ops.tanh, {"x": Type("float32", (1000, 1000))})
    text = write_module(program, TARGETS["avx2"]).text
    # one of each vector, for writing; the last elements of a part follow one by one
    assert text.count("call void @llvm.prefetch.p0(") == 1
    assert text.count(", i32 1, i32 3, i32 1)") == 1
    assert text.count("store <8 x float>") == 1


def test_updates_of_equal_shape_stay_apart() -> None:
    def update(rate: ops.Tensor, **own: ops.Tensor) -> dict[str, ops.Tensor]:
        return {name: ops.sqrt(value * (1.0 - rate)) for name, value in own.items()}

    shapes = {"rate": (), "a": (64,), "W": (8, 64), "b": (64,)}
    program = ops.trace(
        lambda rate, a, W, b: update(rate, a=a, W=W, b=b),
        {name: Type("float32", shape) for name, shape in shapes.items()},
    )
    text = write_module(program, TARGETS["avx2"]).text
    assert text.count("  call void @kernel1(") == 3


def update_with_a_penalty(x: ops.Tensor, d: ops.Tensor, W: ops.Tensor, v: ops.Tensor) -> dict[str, ops.Tensor]:
    gradient = ops.permute_dims(x) @ d + 0.1 * W
    v = 0.9 * v + gradient
    return {"W": W - v, "v": v}


WITH_A_PENALTY = {
    "x": Type("float32", (N, 9)),
    "d": Type("float32", (N, 7)),
    **dict.fromkeys("Wv", Type("float32", (9, 7))),
}


def test_what_one_update_alone_reads_is_no_kernel_of_its_own() -> None:
    kernels = Grouping(prepare(ops.trace(update_with_a_penalty, WITH_A_PENALTY))).kernels
    at_work = [kernel for kernel in kernels if not isinstance(kernel, Nest) or kernel.nodes]
    assert [type(kernel) for kernel in at_work] == [Product, Nest]


def test_what_two_kernels_read_stays_where_it_is() -> None:
    def write(x: ops.Tensor, W: ops.Tensor) -> dict[str, ops.Tensor]:
        h = ops.tanh(x)
        return {"product": h @ W, "twice": 2.0 * h, "sums": ops.sum(h + 1.0, axis=1)}

    program = ops.trace(write, {"x": Type("float32", (N, 9)), "W": Type("float32", (9, 9))})
    groups = Grouping(prepare(program))
    (tanh,) = (node for node in program.nodes if node.op == "tanh")
    assert groups.home[tanh.outputs[0]] < min(
        place for place, kernel in enumerate(groups.kernels) if isinstance(kernel, Product)
    )


def test_text_is_the_same_every_time() -> None:
    program = programs("dropout", "float32")["step"]
    assert write_module(program, TARGETS["avx512"]).text == write_module(program, TARGETS["avx512"]).text


def test_text_for_every_target_can_be_written_anywhere() -> None:
    program = programs("mlp", "float32")["step"]
    for target in TARGETS.values():
        assert "define void @program" in write_module(program, target).text


def test_a_single_vector_left_over_shares_its_panel_with_the_one_before() -> None:
    def cut(columns: int, target: str) -> tuple[int, int, int | None]:
        types = {"x": Type("float64", (N, 64)), "W": Type("float64", (64, columns))}
        (node,) = ops.trace(lambda x, W: x @ W, types).nodes
        first, second = ((value, full_index(value)) for value in node.inputs)
        plan = cut_product(node, (first, second), TARGETS[target])
        return plan.columns.size.coefficient, plan.extra, plan.rest

    assert cut(100, "avx512") == (96, 4, 36)
    assert cut(104, "avx512") == (96, 8, 40)
    assert cut(96, "avx512") == (96, 0, 0)
    assert cut(116, "avx512") == (116, 0, 20)
    assert cut(4, "avx512") == (4, 0, 4)
    assert cut(16, "avx2") == (12, 4, 16)
    assert cut(100, "baseline") == (100, 0, 4)


def test_a_panel_of_longer_lines_is_packed_where_many_rows_read_it() -> None:
    def packs(write: Callable[[Tensor, Tensor], Tensor], x: Shape, y: Shape) -> bool:
        program = ops.trace(write, {"x": Type("float32", x), "y": Type("float32", y)})
        groups = Grouping(prepare(program))
        (node,) = (kernel.node for kernel in groups.kernels if isinstance(kernel, Product))
        first, second = (resolve(groups.made, value, full_index(value)) for value in node.inputs)
        return cut_product(node, (first, second), TARGETS["avx512"]).packs[1]

    def gradient(x: Tensor, d: Tensor) -> Tensor:
        return ops.permute_dims(x) @ d

    assert packs(gradient, (N, 784), (N, 128))
    assert not packs(gradient, (N, 784), (N, 64))  # a panel is all of it
    assert not packs(gradient, (N, 100), (N, 128))
    assert not packs(ops.matmul, (N, 784), (784, 128))  # the forward pass: each of its lines is read by few rows


def test_arrays_of_whole_pages_lie_apart_in_the_cache() -> None:
    _, arrays = lay_out([Type("float32", (64, 64))] * 3, 0)
    places = {array.ctypes.data % 4096 for array in arrays}
    assert len(places) == 3
    assert all(place % 64 == 0 for place in places)


def test_the_arena_uses_memory_again_but_never_twice_at_once() -> None:
    rng = np.random.default_rng(0)
    spans = [sorted(rng.integers(0, 20, 2).tolist()) for _ in range(60)]
    intervals = [Interval(Extent(int(rng.integers(1, 500)), i % 2), *span) for i, span in enumerate(spans)]
    starts, size = plan(intervals, 3)
    for i, first in enumerate(intervals):
        assert starts[i] % 64 == 0
        assert starts[i] + first.size.at(3) <= size
        for j, second in enumerate(intervals[:i]):
            if first.first <= second.last and second.first <= first.last:
                apart = starts[i] + first.size.at(3) <= starts[j] or starts[j] + second.size.at(3) <= starts[i]
                assert apart
    assert size < sum(interval.size.at(3) for interval in intervals)


def test_threads_do_not_disturb_each_other() -> None:
    program = ops.trace(
        lambda x, y: ops.softmax(ops.tanh(x @ y)), {"x": Type("float32", (N, 9)), "y": Type("float32", (9, 17))}
    )
    run = Native().compile(program)
    rng = np.random.default_rng(0)
    inputs = [
        {"x": rng.normal(size=(5 + i, 9)).astype("f4"), "y": rng.normal(size=(9, 17)).astype("f4")} for i in range(4)
    ]
    expected = [run(item)["result"] for item in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(200) if not np.array_equal(run(inputs[i])["result"], expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
