"""Rules: how a teacher writes what the records say in general. The numbers stay the same.

==========================================  =================================
the record says                             printed
==========================================  =================================
constant of one number                      0.5 (np.float32(0.5) if alone)
np.arange(10, dtype="int64")                np.arange(10)
broadcast_to(b) met by a whole array        b
reshape(sum(x, axis=(1,)), (n, 1))          np.sum(x, axis=1, keepdims=True)
reshape(v, (n, 1)) of v (n,)                v[:, np.newaxis]
reshape(take_slice(x, ...)) of one column   x[:, 2]
sum(x, axis=(0,)), axis=(0, 1)              np.sum(x, axis=0), np.sum(x)
sum of int32                                np.sum(x, ..., dtype=np.int32)
transpose(x, (1, 0))                        x.T
x * x, u + u, u + (-v)                      x**2, 2 * u, u - v
0 < x                                       x > 0
asarray(x).astype("float32")                x.astype(np.float32)
... of a number                             np.float32(x)
take_slice(x, (0, 1), (n, 6), (1, 2))       x[:, 1:6:2]
pad_zeros(x, low, high, no interior)        np.pad(x, ((0, 0), (1, 2)))
tuple(np.split(x, 3, axis=1))               np.split(x, 3, axis=1)
==========================================  =================================
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from clearprop.backends.source.expressions import (
    Application,
    Expression,
    elementwise,
    full,
    literal,
    number_literal,
    number_of,
    numpy_call,
    numpy_name,
    plain,
    strong,
)
from clearprop.ir import Batch, Dim, Shape, is_float

Rule = Callable[[Application], "Expression | None"]

_REDUCTIONS = ("np.sum", "np.max")


def write(application: Application) -> Expression:
    """Write a node by its rule, or else as its record says."""
    rule = RULES.get(application.node.op)
    expression = rule(application) if rule else None
    if expression is not None:
        return expression
    return elementwise(application) if application.operation.elementwise else plain(application)


def _constant(application: Application) -> Expression | None:
    value, dtype = application.node.attrs["value"], application.type.dtype
    if isinstance(value, Batch):
        return Expression(literal(value), dtype, weak=True)
    shape = application.type.shape
    if not isinstance(value, tuple):
        if not isinstance(value, (bool, int, float)):
            return None
        return Expression(number_literal(value, dtype), dtype, weak=True)
    numbers = [number_literal(item, dtype) for item in value if isinstance(item, (bool, int, float))]
    if len(numbers) != len(value):
        return None
    if not numbers:
        return application.result(numpy_call("zeros", literal(shape), dtype=numpy_name(dtype)))
    return application.result(numpy_call("array", _nested(numbers, shape), dtype=numpy_name(dtype)))


def _nested(numbers: list[ast.expr], shape: Shape) -> ast.expr:
    if not shape:
        return numbers[0]
    size = len(numbers) // int(str(shape[0]))
    rows = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    return ast.List([_nested(row, shape[1:]) for row in rows], ast.Load())


def _broadcast(application: Application) -> Expression | None:
    (x,) = application.operands
    return x


def _reshape(application: Application) -> Expression | None:
    (x,) = application.operands
    old, new = application.node.inputs[0].type.shape, application.type.shape
    if x.shape == () or new == (1,) * (len(new) - len(x.shape)) + x.shape:
        return x
    if x.shape != old:
        return None
    return _keep_dims(application) or _new_axes(application) or _picked(application)


def _keep_dims(application: Application) -> Expression | None:
    (x,) = application.operands
    call, new = x.tree, application.type.shape
    if not isinstance(call, ast.Call) or ast.unparse(call.func) not in _REDUCTIONS:
        return None
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "keepdims" in keywords or "axis" not in keywords:
        return None
    axis = ast.literal_eval(keywords["axis"])
    axes = axis if isinstance(axis, tuple) else (axis,)
    if len(new) != len(x.shape) + len(axes) or any(new[i] != 1 for i in axes):
        return None
    if tuple(dim for i, dim in enumerate(new) if i not in axes) != x.shape:
        return None
    keep = [*call.keywords, ast.keyword("keepdims", ast.Constant(True))]
    return application.result(ast.Call(call.func, call.args, keep))


def _new_axes(application: Application) -> Expression | None:
    """Read ones that were put between the dimensions as new axes."""
    (x,) = application.operands
    old, items = list(x.shape), []
    for dim in application.type.shape:
        if old and old[0] == dim:
            items.append(_slice(0, dim, 1, dim))
            old.pop(0)
        elif dim == 1:
            items.append(numpy_name("newaxis"))
        else:
            return None
    if old:
        return None
    if isinstance(x.tree, ast.UnaryOp):
        return application.result(ast.UnaryOp(x.tree.op, _index(x.tree.operand, items)))
    return application.result(_index(x.tree, items))


def _picked(application: Application) -> Expression | None:
    """Read a slice of length one whose dimension goes as an index."""
    (x,) = application.operands
    if not isinstance(x.tree, ast.Subscript) or not isinstance(x.tree.slice, (ast.Slice, ast.Tuple)):
        return None
    items = list(x.tree.slice.elts) if isinstance(x.tree.slice, ast.Tuple) else [x.tree.slice]
    new = list(application.type.shape)
    kept: list[ast.expr] = []
    for axis, dim in enumerate(x.shape):
        item = items[axis] if axis < len(items) else ast.Slice()
        if new and new[0] == dim:
            new.pop(0)
        elif dim == 1 and isinstance(item, ast.Slice) and axis < len(items):
            item = item.lower or ast.Constant(0)
        else:
            return None
        kept.append(item)
    return application.result(_index(x.tree.value, kept)) if not new else None


def _permute(application: Application) -> Expression | None:
    (x,) = application.operands
    if x.shape == ():
        return x
    if application.node.attrs["axes"] != (1, 0):
        return None
    tree = full(x, application.node.inputs[0].type.shape)
    return application.result(ast.Attribute(tree, "T", ast.Load()))


def _reduction(function: str) -> Rule:
    def rule(application: Application) -> Expression | None:
        type_, axes = application.node.inputs[0].type, application.dims("axis")
        tree = full(application.operands[0], type_.shape)
        keywords: dict[str, ast.expr] = {}
        if len(axes) == 1 and type_.rank > 1:
            keywords["axis"] = literal(axes[0])
        elif len(axes) < type_.rank or not axes:
            keywords["axis"] = literal(axes)
        if function == "sum" and not is_float(type_):
            keywords["dtype"] = numpy_name(type_.dtype)
        return application.result(numpy_call(function, tree, **keywords))

    return rule


def _multiply(application: Application) -> Expression | None:
    if application.node.inputs[0] is not application.node.inputs[1]:
        return None
    x = strong(application.operands[0])
    if x.shape and is_float(application.type):
        return application.result(ast.BinOp(x.tree, ast.Pow(), ast.Constant(2)), x.shape)
    return application.result(numpy_call("square", x.tree), x.shape)


def _add(application: Application) -> Expression | None:
    if application.node.inputs[0] is application.node.inputs[1]:
        x = strong(application.operands[0])
        return application.result(ast.BinOp(ast.Constant(2), ast.Mult(), x.tree), x.shape)
    total = elementwise(application)
    negative = total.tree.right if isinstance(total.tree, ast.BinOp) else None
    if not isinstance(negative, ast.UnaryOp) or not isinstance(negative.op, ast.USub):
        return total
    assert isinstance(total.tree, ast.BinOp)
    difference = ast.BinOp(total.tree.left, ast.Sub(), negative.operand)
    return application.result(difference, total.shape)


def _power(application: Application) -> Expression | None:
    """NumPy takes a shortcut for a single exponent; that of 0.5 differs at -0.0 and at minus infinity."""
    base, exponent = application.operands
    plain_number = exponent.weak and number_of(exponent) not in (None, 0.5)
    if base.shape == () or exponent.shape != () or plain_number:
        return None
    whole = Expression(full(exponent, application.type.shape), exponent.dtype, application.type.shape)
    return elementwise(Application(application.node, (base, whole)))


def _comparison(turned: type[ast.cmpop]) -> Rule:
    def rule(application: Application) -> Expression | None:
        x, y = application.operands
        if not x.weak or y.weak:
            return None
        return application.result(ast.Compare(y.tree, [turned()], [x.tree]), y.shape)

    return rule


def _astype(application: Application) -> Expression | None:
    x, dtype = strong(application.operands[0]), application.type.dtype
    if x.shape:
        method = ast.Attribute(x.tree, "astype", ast.Load())
        return application.result(ast.Call(method, [numpy_name(dtype)], []), x.shape)
    if dtype.startswith("float"):
        return application.result(numpy_call(dtype, x.tree), ())
    return None


def _take_slice(application: Application) -> Expression | None:
    (x,) = application.operands
    shape = application.node.inputs[0].type.shape
    if x.shape == ():
        return x
    bounds = zip(application.dims("start"), application.dims("stop"), application.dims("step"), shape, strict=True)
    items: list[ast.expr] = [_slice(*bound) for bound in bounds]
    return application.result(_index(full(x, shape), items))


def _slice(start: Dim, stop: Dim, step: Dim, size: Dim) -> ast.expr:
    return ast.Slice(
        None if start == 0 else literal(start),
        None if stop == size else literal(stop),
        None if step == 1 else literal(step),
    )


def _index(tree: ast.expr, items: list[ast.expr]) -> ast.expr:
    """x[items], without the whole dimensions at the end."""
    items = list(items)
    while len(items) > 1 and ast.unparse(items[-1]) == ":":
        items.pop()
    index = items[0] if len(items) == 1 else ast.Tuple(items, ast.Load())
    return ast.Subscript(tree, index, ast.Load())


def _pad(application: Application) -> Expression | None:
    if any(application.dims("interior")):
        return None
    widths = tuple(zip(application.dims("low"), application.dims("high"), strict=True))
    tree = full(application.operands[0], application.node.inputs[0].type.shape)
    return application.result(numpy_call("pad", tree, literal(widths)))


def _split(application: Application) -> Expression | None:
    parts, axis = (literal(application.node.attrs[key]) for key in ("parts", "axis"))
    tree = full(application.operands[0], application.node.inputs[0].type.shape)
    return application.result(numpy_call("split", tree, parts, axis=axis))


def _arange(application: Application) -> Expression | None:
    """Count in int64, as np.arange does by itself."""
    if application.type.dtype != "int64":
        return None
    return application.result(numpy_call("arange", literal(application.node.attrs["size"])))


RULES: dict[str, Rule] = {
    "constant": _constant,
    "arange": _arange,
    "broadcast_to": _broadcast,
    "reshape": _reshape,
    "permute_dims": _permute,
    "sum": _reduction("sum"),
    "max": _reduction("max"),
    "multiply": _multiply,
    "add": _add,
    "power": _power,
    "less": _comparison(ast.Gt),
    "less_equal": _comparison(ast.GtE),
    "astype": _astype,
    "slice": _take_slice,
    "split": _split,
    "pad": _pad,
}
"""The rules by primitive; each gives None where it does not apply."""
