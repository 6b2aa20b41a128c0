"""Matrix products of every layout, size and width, against NumPy in float64, within the bound of a sum of k terms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from native_steps import TARGETS_HERE
from native_teams import BACKWARDS, TEAMS, backend

from clearprop import ops
from clearprop.backends.native import Native, NativeExecutable, cuts
from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.module import write_module
from clearprop.backends.native.targets import TARGETS
from clearprop.backends.native.tiles import Tile, count_tiles, define_tile
from clearprop.ir import Batch, Dim, Program, Shape, Type

N = Batch()
SIZES = (0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 129)
FORMS = ("xW", "xTd", "dWT")
LARGE = ((300, 600, 300), (260, 260, 300), (70, 129, 2100), (261, 260, 1030), (1030, 40, 65), (129, 530, 257))


def turned(form: str, m: Dim, n: Dim, k: Dim) -> tuple[Shape, Shape]:
    """The shapes of the factors in memory of a product of m by k with k by n."""
    return {"xW": ((m, k), (k, n)), "xTd": ((k, m), (k, n)), "dWT": ((m, k), (n, k))}[form]


def product(form: str, dtype: str, m: Dim, n: Dim, k: Dim) -> Program:
    def write(x: ops.Tensor, y: ops.Tensor) -> ops.Tensor:
        return (ops.permute_dims(x) if form == "xTd" else x) @ (ops.permute_dims(y) if form == "dWT" else y)

    first, second = turned(form, m, n, k)
    return ops.trace(write, {"x": Type(dtype, first), "y": Type(dtype, second)})


def check(run: NativeExecutable, x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Check a product of a and b, which are views of the inputs x and y."""
    before = x.copy(), y.copy()
    got = run({"x": x, "y": y})["result"]
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    wide_a, wide_b = a.astype("f8"), b.astype("f8")
    bound = (a.shape[-1] + 2) * np.finfo(x.dtype).eps * (np.abs(wide_a) @ np.abs(wide_b))
    assert got.shape == bound.shape
    assert (np.abs(got - wide_a @ wide_b) <= bound).all()
    return got


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of floats: zeros of two signs are two numbers."""
    return array.view(f"u{array.itemsize}")


def check_form(run: NativeExecutable, form: str, dtype: str, sizes: tuple[int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(sum(sizes))
    x, y = (rng.normal(size=shape).astype(dtype) for shape in turned(form, *sizes))
    return check(run, x, y, x.T if form == "xTd" else x, y.T if form == "dWT" else y)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", range(3))
def test_a_batch_in_any_place(batch: int, form: str, dtype: str, target: str) -> None:
    for others in ((10, 64), (65, 33), (1, 129), (48, 1), (200, 100)):
        sizes: list[Dim] = list(others)
        sizes.insert(batch, N)
        run = Native(target).compile(product(form, dtype, *sizes))
        for n in SIZES:
            m, k, r = (n if isinstance(size, Batch) else size for size in sizes)
            check_form(run, form, dtype, (m, k, r))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("form", FORMS)
def test_known_sizes(form: str, target: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(24):
        sizes = tuple(int(size) for size in rng.choice(SIZES, 3))
        check_form(Native(target).compile(product(form, "float32", *sizes)), form, "float32", sizes)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", LARGE)
@pytest.mark.parametrize("form", FORMS)
def test_sizes_of_several_parts_blocks_and_panels(
    form: str, sizes: tuple[int, int, int], dtype: str, target: str
) -> None:
    check_form(Native(target).compile(product(form, dtype, *sizes)), form, dtype, sizes)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_few_terms(form: str, dtype: str, target: str) -> None:
    for terms in (1, 2, 3):
        for columns in (1, 2, 17, 64):
            run = Native(target).compile(product(form, dtype, N, columns, terms))
            for n in (0, 1, 5, 33):
                check_form(run, form, dtype, (n, columns, terms))


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_stacks_and_views(target: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 5, 40, 30)).astype("f4"), rng.normal(size=(5, 70, 30)).astype("f4")
    types = {"x": Type("float32", (N, 5, 40, 30)), "y": Type("float32", (5, 70, 30))}
    cases = (
        (lambda x, y: x @ ops.permute_dims(y, (0, 2, 1)), x, y.transpose(0, 2, 1)),
        (lambda x, y: x[:, :, ::2, 3:] @ ops.permute_dims(y, (0, 2, 1))[:, 3:, 1::3], x[:, :, ::2, 3:], None),
        (
            lambda x, y: ops.permute_dims(x, (0, 1, 3, 2))[:, :, 1:] @ y[:, 7:47],
            x.transpose(0, 1, 3, 2)[:, :, 1:],
            None,
        ),
        (lambda x, y: x[:, :1] @ ops.broadcast_to(y[:, :1, ::3], (5, 30, 10)), x[:, :1], None),
    )
    seconds = {
        1: y.transpose(0, 2, 1)[:, 3:, 1::3],
        2: y[:, 7:47],
        3: np.broadcast_to(y[:, :1, ::3], (5, 30, 10)),
    }
    for place, (write, a, b) in enumerate(cases):
        run = Native(target).compile(ops.trace(write, types))
        check(run, x, y, a, seconds[place] if b is None else b)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("form", FORMS)
def test_bits_do_not_depend_on_the_cut(form: str, target: str, recut: Callable[..., None]) -> None:
    sizes = (300, 280, 270)
    program = product(form, "float32", *sizes)
    expected = check_form(Native(target).compile(program), form, "float32", sizes)
    text = write_module(program, Native(target).target).text
    for change in (
        {"_PARTS": 9},
        {"_SMALL": 10**9},
        {"_TERMS": 32},
        {"_PANELS": 1},
        {"_SHARES": 1},
        {"_ROWS": 24},
        {"_TERMS_PACKED": 64},
    ):
        recut(cuts, **change)
        got = check_form(Native(target).compile(program), form, "float32", sizes)
        np.testing.assert_array_equal(got, expected)
    assert write_module(program, Native(target).target).text != text


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_few_columns(form: str, dtype: str, target: str, recut: Callable[..., None]) -> None:
    """A vector holds elements of several rows then; the bits are those of tiles, also of several blocks of terms."""
    cases = [(N, columns, terms) for columns in (1, 2, 3, 4) for terms in (0, 1, 3, 64, 530)]
    cases += [(rows, columns, N) for columns in (1, 2, 3, 4) for rows in (5, 16, 30, 64, 83)]
    cases += [(67, 2, 1100), (1100, 3, 33)]
    for case in cases:
        found = []
        for times in (4, 10**6):
            recut(cuts, _FEW=times, _TERMS=256)
            run = Native(target).compile(product(form, dtype, *case))
            drawn = [tuple(n if isinstance(size, Batch) else size for size in case) for n in (0, 1, 7, 16, 37, 300)]
            found.append([check_form(run, form, dtype, sizes) for sizes in drawn])
        for slender, tiled in zip(*found, strict=True):
            np.testing.assert_array_equal(bits(slender), bits(tiled))


def test_few_columns_are_written_as_rows_in_vectors() -> None:
    for form, sizes in (("xW", (N, 2, 64)), ("xTd", (64, 2, N))):
        text = write_module(product(form, "float32", *sizes), TARGETS["avx512"]).text
        assert "@tile" not in text
        assert "@tile" in write_module(product(form, "float64", *sizes[:1], 3, sizes[2]), TARGETS["avx512"]).text


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_in_every_batch(dtype: str, target: str) -> None:
    """Tiles of two heights share the rows: none is left out, and none is another one's."""
    for columns in (2, 16, 24, 40, 64):
        run = Native(target).compile(product("xW", dtype, N, columns, 33))
        rng = np.random.default_rng(columns)
        x, w = rng.normal(size=(40, 33)).astype(dtype), rng.normal(size=(33, columns)).astype(dtype)
        whole = check(run, x, w, x, w)
        for n in range(1, 40):
            np.testing.assert_array_equal(check(run, x[:n], w, x[:n], w), whole[:n])


def test_tiles_of_two_heights_compute_few_rows_twice() -> None:
    """A batch of 32 rows is four tiles of six and two of four, not six of six; never is more than one row too many."""
    counts = {rows: [int(count) for count in count_tiles(Emitter(), str(rows), 6, 4)] for rows in range(1, 200)}
    assert (counts[1], counts[7], counts[8], counts[32], counts[36]) == ([0, 1], [0, 2], [0, 2], [4, 2], [6, 0])
    assert {6 * high + 4 * low - rows for rows, (high, low) in counts.items() if rows > 3} == {0, 1}


def test_tiles_of_six_rows_have_lower_ones_beside_them() -> None:
    """Eight rows divide the usual batches, and rows that were packed lie in tiles of one height."""

    def sums(tile: Tile) -> int:
        return define_tile(tile)[0].count("call <16 x float> @llvm.fmuladd")

    assert sums(Tile(6, 4, 16, "float32")) == (6 + 4) * 4
    assert sums(Tile(8, 4, 16, "float32")) == 8 * 4
    assert sums(Tile(6, 4, 16, "float32", packed=True)) == 6 * 4


@pytest.mark.parametrize("threads", TEAMS)
@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("form", ["xW", "xTd"])
def test_stacks_have_the_same_bits_however_they_are_cut(
    form: str, target: str, threads: int, recut: Callable[..., None]
) -> None:
    """As in attention: small products, one for each sample and head; the second kind also into rows and columns."""
    turns, sizes = form == "xTd", {"xW": ((40, 17), (17, 50)), "xTd": ((6, 130), (6, 260))}[form]

    def write(x: ops.Tensor, y: ops.Tensor) -> ops.Tensor:
        return (ops.permute_dims(x, (0, 1, 3, 2)) if turns else x) @ y

    types = {name: Type("float32", (N, 3, *size)) for name, size in zip("xy", sizes, strict=True)}
    program, rng = ops.trace(write, types), np.random.default_rng(0)
    for n in (0, 1, 7):
        x, y = (rng.normal(size=(n, 3, *size)).astype("f4") for size in sizes)
        recut(cuts, _SHARE=2_000_000, _ROWS=528, _PANELS=16)
        a = x.swapaxes(2, 3) if turns else x
        expected = check(backend(1, target).compile(program), x, y, a, y)
        for change in ({"_SHARE": 1}, {"_SHARE": 900_000}, {"_SHARE": 1, "_ROWS": 24, "_PANELS": 1}):
            recut(cuts, **change)
            np.testing.assert_array_equal(check(backend(threads, target).compile(program), x, y, a, y), expected)


def test_products_of_many_rows_or_matrices_a_sample_have_parts_for_small_batches() -> None:
    """As in networks of sequences: each sample brings many rows, or a matrix for each head."""

    def parts(x: Shape, y: Shape, n: int) -> int:
        types = {"x": Type("float32", x), "y": Type("float32", y)}
        (region,) = write_module(ops.trace(lambda x, y: x @ y, types), TARGETS["avx512"]).regions
        return math.prod(cut.at(n) for cut in region.parts)

    assert parts((Batch(64), 256), (256, 64), 32) == 4
    assert parts((Batch(64), 256), (256, 64), 8) == 1
    assert parts((N, 4, 64, 16), (N, 4, 16, 64), 32) >= 4
    assert parts((N, 784), (784, 128), 64) == 2  # rows of a usual batch stay together


@pytest.mark.parametrize("form", FORMS)
def test_parts_run_in_any_order(form: str) -> None:
    sizes = (300, 280, 270)
    program, before = product(form, "float32", *sizes), BACKWARDS.jobs
    expected = check_form(backend(1).compile(program), form, "float32", sizes)
    np.testing.assert_array_equal(check_form(backend(0).compile(program), form, "float32", sizes), expected)
    assert BACKWARDS.jobs > before


@pytest.mark.parametrize("form", FORMS)
def test_threads_share_the_parts(form: str) -> None:
    sizes = (600, 520, 270)
    program = product(form, "float32", N if form != "xTd" else 600, 520, N if form == "xTd" else 270)
    expected = check_form(Native(threads=1).compile(program), form, "float32", sizes)
    run = Native(threads=3).compile(program)
    for _ in range(20):
        np.testing.assert_array_equal(check_form(run, form, "float32", sizes), expected)


def test_products_share_their_micro_kernels() -> None:
    types = {"x": Type("float32", (N, 64)), "u": Type("float32", (64, 64)), "v": Type("float32", (64, 128))}
    text = write_module(ops.trace(lambda x, u, v: x @ u @ v, types), TARGETS["avx512"]).text
    assert text.count("call void @tile") > text.count("define internal void @tile") == 1
