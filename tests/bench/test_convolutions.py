"""bench/convolutions.py: which convolutions a workload has, and that the passes it measures are theirs."""

import numpy as np
import pytest
from convolutions import PASSES, Convolution, Rates, convolutions_of, measure_convolutions, program_of
from numpy.lib.stride_tricks import sliding_window_view
from report import Findings, page

from clearprop.bench import IMAGES, ImageWorkload
from clearprop.bench.images import Conv, Mean, Pool, Residual
from clearprop.compile import compile_program

STAGES = (Conv(4, norm=True), Pool(), Conv(4, depthwise=True), Residual(8), Conv(2, 5, same=False), Mean())
TINY = ImageWorkload("tiny", (3,), 2, 4, shape=(32, 32, 3), stages=STAGES)
SOME = [
    Convolution("", 2, (6, 7, 3), 3, 5),
    Convolution("", 2, (7, 7, 3), 3, 4, stride=2),
    Convolution("", 2, (6, 6, 4), 3, 4, depthwise=True),
]


def test_those_of_a_workload_by_hand():
    found = [(c.shape, c.kernel, c.filters, c.stride, c.depthwise, c.is_first) for c in convolutions_of(TINY)]
    assert found == [
        ((34, 34, 3), 3, 4, 1, False, True),
        ((18, 18, 4), 3, 4, 1, True, False),
        ((18, 18, 4), 3, 8, 2, False, False),
        ((10, 10, 8), 3, 8, 1, False, False),
        ((16, 16, 4), 1, 8, 2, False, False),
        ((8, 8, 8), 5, 2, 1, False, False),
    ]


@pytest.mark.parametrize("workload", IMAGES, ids=lambda workload: workload.name)
def test_their_operations_are_those_of_the_workload(workload):
    """Three passes of each, but two of the first, and the dense layers beside."""
    passes = sum(c.flops * (2 if c.is_first else 3) for c in convolutions_of(workload))
    features = int(np.prod(workload.features))
    dense = 3 * sum(
        2 * workload.batch * m * k for m, k in zip((features, *workload.sizes), workload.sizes, strict=False)
    )
    assert passes + dense == workload.flops


@pytest.mark.parametrize("convolution", SOME, ids=lambda convolution: convolution.name)
def test_passes_are_those_of_the_sum_over_windows(convolution):
    """The derivatives pull a cotangent back: <y(x, w), g> is linear in each of x, w and g."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *convolution.shape), np.float32)
    w, v = rng.standard_normal((2, *convolution.filter_shape), np.float32)
    seen = sliding_window_view(x, (convolution.kernel,) * 2, (1, 2))[:, :: convolution.stride, :: convolution.stride]
    formula = "nhwckl,klxc->nhwc" if convolution.depthwise else "nhwckl,klco->nhwo"
    y, other = (np.einsum(formula, seen, filters) for filters in (w, v))
    g = rng.standard_normal(y.shape, np.float32)

    def results(name, **inputs):
        program = program_of(convolution, PASSES[name], 2)
        first = {"first": np.zeros(1, np.int64)} if "first" in [value.name for value in program.inputs] else {}
        return compile_program(program, "native")(inputs | first)

    got = results("forward", x=x, w0=w, w1=v)
    np.testing.assert_allclose(got["result0"], y[:1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["result1"], other[:1], rtol=1e-4, atol=1e-5)
    filters = results("in the filters", x=x, g0=g, g1=2 * g)
    np.testing.assert_allclose((filters["result0"] * v).sum(), (g * other).sum(), rtol=1e-3)
    around = 0 if convolution.stride > 1 else convolution.kernel - 1
    padded = np.pad(g, ((0, 0), (around, around), (around, around), (0, 0)))
    pulled = results("in the input", g=padded, w0=w, w1=v)
    np.testing.assert_allclose((pulled["result0"] * x[:1]).sum(), (g[:1] * y[:1]).sum(), rtol=1e-3)


def test_the_table():
    """Equal convolutions of two workloads are measured once; the first one sees no derivative in its input."""
    small = ImageWorkload("small", (3,), 2, 4, shape=(8, 8, 1), stages=(Conv(2), Conv(2), Conv(2)))
    found = list(measure_convolutions([small, small], [1], 0.0))
    assert [len(rates.parts) for rates in found] == [2, 3]
    assert all(part > 0 for rates in found for part in rates.parts.values())
    made = Rates(found[1].convolution, {("forward", 1): 0.5, ("in the filters", 1): 0.126})
    lines = page(Findings(convolutions=[made]), "native").splitlines()
    assert "| workload | convolution | MFLOP | forward, 1 thread | in the filters, 1 thread |" in lines
    assert "| small | 3x3, 2 to 2, 8x8 | 0.00922 | 50 % | 13 % |" in lines
