"""Tensors: the handles by which ordinary Python writes a program.

A `Tensor` stands for a value of the program that is being traced. Operators and the functions of `ops` append
nodes; nothing is computed until a backend runs the finished program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Union

import numpy as np

from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Attribute, Batch, Builder, Note, Program, Shape, Type, Value
from clearprop.ops.numpy_functions import REFLECTED, no_numbers
from clearprop.ops.record import primitive

_BUILDER: ContextVar[Builder | None] = ContextVar("clearprop_builder", default=None)
_LARGEST_CONSTANT = 65536

Number = bool | int | float
TensorLike = Union["Tensor", Number, "np.ndarray[Any, Any]", "np.number[Any]"]
"""What operators accept: tensors, Python numbers (which take the other side's dtype) and small arrays."""


class Tensor:
    """A value of the program being traced, with Python's operators.

    Binary operators broadcast as NumPy does; a Python number takes the tensor's dtype; two tensors must have the
    same dtype (`ops.astype` converts).
    """

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Value) -> None:
        self.value = value

    @property
    def type(self) -> Type:
        """The dtype and shape."""
        return self.value.type

    @property
    def shape(self) -> Shape:
        """The shape: integers, and the batch n."""
        return self.value.type.shape

    @property
    def dtype(self) -> str:
        """The dtype by NumPy's name."""
        return self.value.type.dtype

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return self.value.type.rank

    def __repr__(self) -> str:
        return f"Tensor({self.value!r})"

    def __add__(self, other: TensorLike) -> Tensor:
        return binary("add", self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return binary("add", other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return binary("subtract", self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return binary("subtract", other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return binary("multiply", self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return binary("multiply", other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return binary("divide", self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return binary("divide", other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return binary("power", self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return binary("power", other, self)

    def __neg__(self) -> Tensor:
        return emit("negative", self)

    def __abs__(self) -> Tensor:
        return emit("abs", self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return matmul(self, as_tensor(other, self.dtype))

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return matmul(as_tensor(other, self.dtype), self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            hint = "the functions of tensors are in clearprop.ops, such as ops.mean(x) and ops.reshape(x, shape)"
            raise AttributeError(f"a Tensor has no attribute {name!r}: {hint}")

        def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **settings: Any) -> Tensor:
            """NumPy's operators with an array on the left are the tensor's; its other functions are not."""
            reflected = REFLECTED.get(function)
            if reflected is None or method != "__call__" or settings or inputs[0] is self:
                raise no_numbers(function)
            return getattr(self, reflected)(inputs[0])

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
            raise no_numbers(function)

        def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
            raise no_numbers(np.asarray)

    def __lt__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return binary("less", self, other)

    def __gt__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return binary("less", other, self)

    def __le__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return binary("less_equal", self, other)

    def __ge__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return binary("less_equal", other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return binary("equal", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return emit("logical_not", binary("equal", self, other))  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        raise ProgramError(
            "a tensor has no truth value while a program is traced, because it has no number yet: "
            "use ops.where(condition, a, b) instead of if"
        )

    def __getitem__(self, index: Any) -> Tensor:
        return getitem(self, index)

    def __iter__(self) -> Iterator[Tensor]:
        raise ProgramError(f"iterate over the index instead: {self!r} cannot be unpacked")


@contextmanager
def tracing(trace: str | Builder) -> Iterator[Builder]:
    """Make a fresh builder of this name, or a builder of before, the one that operators append to in a `with` block."""
    builder = Builder(trace) if isinstance(trace, str) else trace
    token = _BUILDER.set(builder)
    try:
        yield builder
    finally:
        _BUILDER.reset(token)


def current_builder() -> Builder:
    """Return the builder of the program being traced; `ProgramError` outside of a trace."""
    builder = _BUILDER.get()
    if builder is None:
        raise ProgramError("no program is being traced; call this inside `with ops.tracing(name):`")
    return builder


def placeholder(name: str, type_: Type, note: Note | None = None) -> Tensor:
    """Declare an input of the program being traced."""
    return Tensor(current_builder().input(name, type_, note))


def trace(function: Callable[..., Any], inputs: Mapping[str, Type], name: str = "program") -> Program:
    """Run a Python function over tensors once and return the program it wrote.

    The function takes the inputs in order and returns a tensor, or a mapping of names to tensors.
    """
    with tracing(name) as builder:
        result = function(*[placeholder(key, type_) for key, type_ in inputs.items()])
        outputs = result if isinstance(result, Mapping) else {"result": result}
        return builder.finish((key, tensor.value) for key, tensor in outputs.items())


def emit(op: str, *inputs: Tensor, **attrs: Attribute) -> Tensor:
    """Append one node of a single-output primitive to the program being traced."""
    (result,) = emit_all(op, inputs, attrs)
    return result


def emit_all(op: str, inputs: Sequence[Tensor], attrs: Mapping[str, Attribute]) -> tuple[Tensor, ...]:
    """Append one node of any primitive to the program being traced, and return all that it gives."""
    builder = current_builder()
    types = primitive(op).types([tensor.type for tensor in inputs], attrs)
    return tuple(map(Tensor, builder.add(op, [tensor.value for tensor in inputs], attrs, types)))


def constant(value: TensorLike, dtype: str) -> Tensor:
    """Put a number or a small array into the program."""
    array = _converted(value, dtype)
    if array.size > _LARGEST_CONSTANT:
        raise ShapeError(
            f"an array of {array.size} elements is too large for a constant (at most {_LARGEST_CONSTANT}); "
            "make it a parameter or an input"
        )
    literal = array.item() if array.ndim == 0 else tuple(array.ravel().tolist())
    return emit("constant", value=literal, dtype=dtype, shape=array.shape)


def _converted(value: TensorLike, dtype: str) -> np.ndarray[Any, Any]:
    given = np.asarray(value)
    if given.dtype.kind not in ("biuf" if dtype.startswith("float") else "biu") and given.size:
        raise ShapeError(
            f"{value!r} cannot become {dtype}, the dtype of the tensor it meets; "
            "convert the tensor with ops.astype(x, dtype)"
        )
    try:
        return np.asarray(value, dtype=dtype)
    except OverflowError as error:
        raise ShapeError(f"{value!r} does not fit into {dtype}") from error


def as_tensor(value: TensorLike, dtype: str) -> Tensor:
    """Return a tensor as it is, and a number or array as a constant of this dtype."""
    return value if isinstance(value, Tensor) else constant(value, dtype)


def broadcast_shapes(first: Shape, second: Shape) -> Shape:
    """Return the shape that NumPy's broadcasting gives; `ShapeError` if there is none."""
    rank = max(len(first), len(second))
    result = []
    for a, b in zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True):
        if a != b and a != 1 and b != 1:
            raise ShapeError(f"shapes {show(first)} and {show(second)} do not broadcast: {a} is not {b}")
        result.append(b if a == 1 else a)
    return tuple(result)


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """Repeat x along new and length-one dimensions, as NumPy does."""
    return x if x.shape == shape else emit("broadcast_to", x, shape=shape)


def binary(op: str, x: TensorLike, y: TensorLike) -> Tensor:
    """Append an elementwise primitive of two arguments, after promoting numbers and broadcasting shapes."""
    dtype = x.dtype if isinstance(x, Tensor) else y.dtype if isinstance(y, Tensor) else "float32"
    a, b = as_tensor(x, dtype), as_tensor(y, dtype)
    if a.dtype != b.dtype:
        raise ShapeError(f"{op} of {a.type} and {b.type}: the dtypes differ; convert one with ops.astype(x, dtype)")
    shape = broadcast_shapes(a.shape, b.shape)
    return emit(op, broadcast_to(a, shape), broadcast_to(b, shape))


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product over the last two dimensions; leading dimensions broadcast.

    A matrix y times a stack x is one product of the flattened stack: (n, T, d) @ (d, h) gives (n, T, h).
    """
    if x.rank < 2 or y.rank < 2:
        raise ShapeError(f"matmul needs tensors of at least two dimensions, received {x.type} and {y.type}")
    if x.rank > 2 and y.rank == 2:
        flat = reshape(x, (-1, x.shape[-1]))
        return reshape(emit("matmul", flat, y), (*x.shape[:-1], y.shape[-1]))
    lead = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return emit("matmul", broadcast_to(x, lead + x.shape[-2:]), broadcast_to(y, lead + y.shape[-2:]))


def reshape(x: Tensor, shape: Shape) -> Tensor:
    """Read the same elements, in row-major order, as another shape; one dimension may be -1."""
    if -1 in shape:
        shape = _fill_in(x.shape, shape)
    return x if x.shape == shape else emit("reshape", x, shape=shape)


def _fill_in(old: Shape, shape: Shape) -> Shape:
    from_count, from_power = _count(old)
    rest_count, rest_power = _count(tuple(dim for dim in shape if dim != -1))
    power = from_power - rest_power
    if shape.count(-1) != 1 or power not in (0, 1) or rest_count == 0 or from_count % rest_count:
        raise ShapeError(f"cannot reshape {show(old)} to {show(shape)}: no whole number fits for -1")
    quotient = from_count // rest_count
    power = power if quotient else 0
    return tuple((Batch(quotient) if power else quotient) if dim == -1 else dim for dim in shape)


def _count(shape: Shape) -> tuple[int, int]:
    coefficient, power = 1, 0
    for dim in shape:
        coefficient *= dim.scale if isinstance(dim, Batch) else dim
        power += isinstance(dim, Batch)
    return coefficient, power


def getitem(x: Tensor, index: Any) -> Tensor:
    """Basic indexing: integers, slices with a positive step, `...` and None; the batch is taken whole."""
    items = _expand_ellipsis(index if isinstance(index, tuple) else (index,), x)
    starts, stops, steps, shape = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        start, stop, step, keep = _bounds(item, x, axis)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        if keep is not None:
            shape.append(keep)
        axis += 1
    full = (tuple(starts), tuple(stops), tuple(steps)) == ((0,) * x.rank, x.shape, (1,) * x.rank)
    part = x if full else emit("slice", x, start=tuple(starts), stop=tuple(stops), step=tuple(steps))
    return reshape(part, tuple(shape))


def _expand_ellipsis(items: tuple[Any, ...], x: Tensor) -> tuple[Any, ...]:
    if sum(item is Ellipsis for item in items) > 1:
        raise ShapeError(f"an index of {x.type} may hold '...' once")
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > x.rank:
        raise ShapeError(f"{given} indices for {x.type}, which has {x.rank} dimensions")
    rest = (slice(None),) * (x.rank - given)
    place = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    return items[:place] + rest + items[place + 1 :]


def _bounds(item: Any, x: Tensor, axis: int) -> tuple[int, Any, int, Any]:
    size = x.shape[axis]
    if isinstance(size, Batch):
        if item != slice(None):
            raise ShapeError(f"dimension {axis} of {x.type} is the batch: take it whole, with ':'")
        return 0, size, 1, size
    if isinstance(item, slice):
        if not all(part is None or isinstance(part, int) for part in (item.start, item.stop, item.step)):
            raise ShapeError(f"a slice of {x.type} takes integers, received {item!r}")
        start, stop, step = item.indices(size)
        if step < 1:
            raise ShapeError(f"a slice of {x.type} takes a positive step, received {step}")
        length = len(range(start, stop, step))
        return start, max(start, stop), step, length
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        position = int(item) + size if item < 0 else int(item)
        if not 0 <= position < size:
            raise ShapeError(f"index {item} is outside of dimension {axis} of {x.type}")
        return position, position + 1, 1, None
    raise ShapeError(f"cannot index {x.type} with {item!r}; use integers and slices, or ops.take for an array")


def show(shape: Shape) -> str:
    """Return a shape as a reader writes it: (n, 28, 28)."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def label(x: Tensor, quantity: str) -> Tensor:
    """Name a value just computed by its textbook letter, in the layer where the builder stands.

    Only the newest value of the program takes the name; another one (an input passed on) stays as it is.
    """
    builder = current_builder()
    layer = builder.scope.layer
    hint = f"{layer}.{quantity}" if layer else quantity
    x.value = builder.rename(x.value, hint, Note(layer, quantity))
    return x


def name(x: Tensor, word: str) -> Tensor:
    """Give a value just computed a word that a reader will know it by, and leave its textbook letter as it is."""
    builder = current_builder()
    layer = builder.scope.layer
    x.value = builder.rename(x.value, f"{layer}.{word}" if layer else word, x.value.note)
    return x
