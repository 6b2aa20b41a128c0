"""Helpers for authors of primitives, layers and backends: is the derivative right, do two backends agree?

Nothing else in the package imports this.
"""

from clearprop.testing.conformance import (
    check_agreement,
    check_primitive,
    check_program,
    check_special_values,
)
from clearprop.testing.gradients import GradientReport, check_gradient, check_vjp
from clearprop.testing.programs import random_program
from clearprop.testing.sampling import (
    draw_example,
    draw_inputs,
    draw_operand,
    example_attrs,
    example_program,
    operand_type,
)

__all__ = [
    "GradientReport",
    "check_agreement",
    "check_gradient",
    "check_primitive",
    "check_program",
    "check_special_values",
    "check_vjp",
    "draw_example",
    "draw_inputs",
    "draw_operand",
    "example_attrs",
    "example_program",
    "operand_type",
    "random_program",
]
