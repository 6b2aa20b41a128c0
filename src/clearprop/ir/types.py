"""The type of a value: a dtype and a shape, of which one dimension may be the symbolic batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clearprop.errors import ProgramError

DTYPES: tuple[str, ...] = ("bool", "int32", "int64", "uint32", "float32", "float64")
"""Every dtype a value can have, by NumPy's name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A dimension of `scale` times the batch size n; `Batch()` is n itself.

    Reshaping (n, T, d) to (T n, d) makes a multiple of n, and so does joining two batches.
    """

    scale: int = 1

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ProgramError(f"a batch dimension needs a positive scale, received {self.scale}")

    def __str__(self) -> str:
        return "n" if self.scale == 1 else f"{self.scale}n"


Dim = int | Batch
Shape = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """The dtype and the shape of a value; `shape` holds integers and at most the one symbol n."""

    dtype: str
    shape: Shape = ()

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ProgramError(f"unknown dtype {self.dtype!r}; expected one of {', '.join(DTYPES)}")
        for dim in self.shape:
            if not isinstance(dim, Batch) and (not isinstance(dim, int) or isinstance(dim, bool) or dim < 0):
                raise ProgramError(f"a dimension is a non-negative integer or the batch, received {dim!r}")

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def with_shape(self, shape: Iterable[Dim]) -> Type:
        """Return the same dtype with another shape."""
        return Type(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> Type:
        """Return the same shape with another dtype."""
        return Type(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(str(dim) for dim in self.shape)}]"


def is_float(type_: Type) -> bool:
    """Tell whether values of this type can carry a derivative."""
    return type_.dtype.startswith("float")


def dims_product(shape: Iterable[Dim]) -> tuple[int, int]:
    """Return the number of elements as (coefficient, power of n): (n, 28, 28) gives (784, 1)."""
    coefficient, power = 1, 0
    for dim in shape:
        if isinstance(dim, Batch):
            coefficient, power = coefficient * dim.scale, power + 1
        else:
            coefficient *= dim
    return (0, 0) if coefficient == 0 else (coefficient, power)


def resolve_shape(shape: Iterable[Dim], n: int) -> tuple[int, ...]:
    """Return the shape with the batch size put in for n."""
    return tuple(dim.scale * n if isinstance(dim, Batch) else dim for dim in shape)
