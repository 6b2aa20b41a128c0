"""The record of a primitive: everything that is known of it, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Attribute, Shape, Type
from clearprop.ir.verify import TypeRule

Infer = Callable[[Sequence[Type], dict[str, Attribute]], tuple[Type, ...]]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Operand:
    """Where one argument of a primitive may be tested: shape, dtype ("float" is either), and range.

    `distinct` asks for values that lie well apart, so that no two of them tie; `avoid` names kinks or poles
    that a drawn value keeps a distance of 0.1 from.
    """

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float"
    distinct: bool = False
    avoid: tuple[float, ...] = ()


@dataclass(frozen=True)
class Example:
    """Operands and attributes for which a primitive is defined and, if it has a vjp, differentiable twice."""

    operands: tuple[Operand, ...]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class OpDef:
    """One primitive.

    Attributes:
        name: the Python array API's name where it has one.
        infer: the type rule: input types and attributes to output types; raises `ShapeError`.
        numpy: the meaning, as a NumPy expression over x0, x1 ..., the attributes' names and the batch size n.
            The reference backend evaluates this text and `source` prints it, so that both are one.
        vjp: `vjp(g, ans, *inputs, **attrs)` gives, for the cotangent g of the result ans, the cotangent of each
            input, or None where it is zero; None in its place for a primitive that has no derivative anywhere, or
            that says it by `augment`.
        augment: for a primitive of several results, or one whose derivative needs more of its way than the results:
            `augment(linearise, inputs, active, **attrs)` writes it in a form that also gives out what its derivative
            needs, and returns its results and a function from their cotangents (None where zero) to those of the
            inputs. `active` says which inputs are differentiated; `linearise` is that of `grad`, for a body.
        examples: where it may be tested.
        helpers: the functions that `numpy` calls, written with NumPy and the standard library alone.
        elementwise: whether each element of the result depends on the same element of each input only.
    """

    name: str
    infer: Infer
    numpy: str
    vjp: Callable[..., tuple[Any, ...]] | None
    examples: tuple[Example, ...]
    helpers: tuple[Callable[..., Any], ...] = ()
    elementwise: bool = False
    augment: Callable[..., tuple[tuple[Any, ...], Callable[..., Sequence[Any]]]] | None = None

    @property
    def differentiable(self) -> bool:
        """Whether there is a derivative."""
        return self.vjp is not None or self.augment is not None

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes; every node has all of them."""
        return tuple(sorted({key for example in self.examples for key in example.attrs}))

    @cached_property
    def _attribute_set(self) -> frozenset[str]:
        return frozenset(self.attributes)

    def types(self, inputs: Sequence[Type], attrs: Mapping[str, Attribute]) -> tuple[Type, ...]:
        """Apply the type rule, after a look at the attributes' names; raises `ShapeError`."""
        if attrs.keys() != self._attribute_set:
            raise ShapeError(
                f"{self.name} takes the attributes ({', '.join(self.attributes)}), "
                f"received ({', '.join(sorted(attrs))})"
            )
        return self.infer(inputs, dict(attrs))

    @cached_property
    def evaluate(self) -> Callable[..., Array]:
        """The NumPy meaning as a function of the inputs and, by keyword, the attributes with n put in."""
        names = {helper.__name__: helper for helper in self.helpers} | {"np": np}
        count = max(len(example.operands) for example in self.examples)
        attrs = list(self.attributes)
        inputs = ["*inputs"] if "inputs" in self.numpy else [f"x{i}" for i in range(count)]
        parameters = ", ".join(inputs + (["*", *attrs] if attrs and inputs != ["*inputs"] else attrs))
        # the text is this record's own, never a file's
        return eval(f"lambda {parameters}: {self.numpy}", names)  # type: ignore[no-any-return]


PRIMITIVES: dict[str, OpDef] = {}
"""Every primitive by name."""


def register(operation: OpDef) -> OpDef:
    """Enter a primitive into the table; two of one name are refused."""
    if operation.name in PRIMITIVES:
        raise ProgramError(f"there is a primitive named {operation.name!r} already")
    PRIMITIVES[operation.name] = operation
    return operation


def primitive(name: str) -> OpDef:
    """Return the record of a primitive; `ProgramError` for an unknown one."""
    if name not in PRIMITIVES:
        raise ProgramError(f"there is no primitive named {name!r}; there are {', '.join(sorted(PRIMITIVES))}")
    return PRIMITIVES[name]


def rule_of(name: str) -> TypeRule:
    """Return the type rule of a primitive, as `ir.verify` wants it."""
    return primitive(name).types
