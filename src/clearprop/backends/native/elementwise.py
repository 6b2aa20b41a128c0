"""One row an elementwise primitive: how it is computed on registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clearprop.backends.native.arithmetic import Arithmetic, maximum, minimum
from clearprop.backends.native.emitter import SCALARS, Register, constant, suffix, vector
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.functions import FUNCTIONS, function
from clearprop.backends.native.regions import Kernel
from clearprop.ir import Batch, Node, Value

Operation = Callable[..., Register]


def _sign(a: Arithmetic, x: Register) -> Register:
    zero, one = a.number(0.0, x), a.number(1.0, x)
    size = a.select(a.compare("eq", x, zero), zero, a.copysign(one, x))
    return a.select(a.is_nan(x), x, size)


def _shift(a: Arithmetic, x: Register, y: Register) -> Register:
    """x >> y; a shift by the width or more, which LLVM leaves undefined, moves every bit out as in NumPy."""
    width = 64 if x.dtype == "int64" else 32
    last = a.number(width - 1, x)
    over = a.out.value(f"icmp ugt {y}, {last.text}", "bool", x.lanes)
    safe = a.select(over, last, y)
    if x.dtype == "uint32":
        moved = a.out.value(f"lshr {x}, {safe.text}", x.dtype, x.lanes)
        return a.select(over, a.number(0, x), moved)
    return a.out.value(f"ashr {x}, {safe.text}", x.dtype, x.lanes)


def convert(a: Arithmetic, x: Register, dtype: str) -> Register:
    """Convert to another dtype: floats to integers toward zero, saturating where the integer cannot hold them."""
    if x.dtype == dtype:
        return x
    if dtype == "bool":
        return a.compare("ne", x, a.number(0, x))
    if x.is_float and not dtype.startswith("float"):
        return _to_integer(a, x, dtype)
    target = vector(SCALARS[dtype], x.lanes)
    if SCALARS[x.dtype] == SCALARS[dtype]:
        return Register(x.text, dtype, x.lanes)
    return a.out.value(f"{_conversion(x.dtype, dtype)} {x} to {target}", dtype, x.lanes)


def _conversion(source: str, dtype: str) -> str:
    unsigned = source in ("bool", "uint32")
    if source.startswith("float"):
        return "fpext" if dtype == "float64" else "fptrunc"
    if dtype.startswith("float"):
        return "uitofp" if unsigned else "sitofp"
    if source == "int64":
        return "trunc"
    return "zext" if unsigned else "sext"


def _to_integer(a: Arithmetic, x: Register, dtype: str) -> Register:
    target = vector(SCALARS[dtype], x.lanes)
    sign = "u" if dtype == "uint32" else "s"
    ends = f"{suffix(SCALARS[dtype], x.lanes)}.{suffix(SCALARS[x.dtype], x.lanes)}"
    return Register(a.out.call(target, f"llvm.fpto{sign}i.sat.{ends}", [str(x)]), dtype, x.lanes)


OPERATIONS: dict[str, Operation] = {
    "add": Arithmetic.add,
    "subtract": Arithmetic.sub,
    "multiply": Arithmetic.mul,
    "divide": Arithmetic.div,
    "negative": Arithmetic.neg,
    "abs": Arithmetic.abs,
    "sqrt": Arithmetic.sqrt,
    "sign": _sign,
    "stop_gradient": lambda a, x: x,
    "maximum": maximum,
    "minimum": minimum,
    "equal": lambda a, x, y: a.compare("eq", x, y),
    "less": lambda a, x, y: a.compare("lt", x, y),
    "less_equal": lambda a, x, y: a.compare("le", x, y),
    "logical_not": Arithmetic.invert,
    "logical_and": lambda a, x, y: a.logical("and", x, y),
    "bitwise_right_shift": _shift,
    "where": Arithmetic.select,
    **{name: function(name) for name in FUNCTIONS},
}
"""Every elementwise primitive but astype, which takes a dtype."""

CHEAP = {*OPERATIONS, "astype"} - {*FUNCTIONS}
"""What is computed again rather than kept."""

EXPENSIVE = {*FUNCTIONS, "divide", "sqrt", "random_bits"}
"""What is kept in memory rather than computed again in a later loop over the same rows."""


def is_number(made: Mapping[Value, Node], value: Value) -> bool:
    """Whether a value is a constant that is one number."""
    node = made.get(value)
    return node is not None and node.op == "constant" and not isinstance(node.attrs["value"], tuple)


def number(kernel: Kernel, node: Node) -> Register:
    """Return the number of a scalar constant; a multiple of the batch is computed."""
    value, dtype = node.attrs["value"], node.outputs[0].type.dtype
    if isinstance(value, Batch):
        whole = Register(kernel.extent(Extent(value.scale, 1)), "int64")
        return convert(Arithmetic(kernel.out), whole, dtype)
    assert isinstance(value, (bool, int, float))
    return constant(value, dtype, 1)


def compute(a: Arithmetic, node: Node, inputs: Sequence[Register]) -> Register:
    """Compute an elementwise node."""
    if node.op == "astype":
        return convert(a, inputs[0], node.outputs[0].type.dtype)
    return OPERATIONS[node.op](a, *inputs)
