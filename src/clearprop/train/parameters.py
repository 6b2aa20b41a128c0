"""The one table of what the parameters of training may be.

Whoever takes such a parameter declares it by this table: the settings of a fit, a model, the estimators and the command
line. Checks, messages, the types of the options, and the tests of wrong values all come from it.
"""

from __future__ import annotations

from clearprop.settings import Allowed, number, whole_number, word

PARAMETERS: dict[str, Allowed] = {
    "layers": whole_number(0),
    "width": whole_number(1),
    "dropout": number("[0, 1)"),
    "penalty": number("[0, inf)"),
    "learning_rate": number("(0, inf)"),
    "epochs": whole_number(1),
    "steps": whole_number(1),
    "batch_size": whole_number(1),
    "validation_fraction": number("[0, 1)"),
    "test_fraction": number("[0, 1)"),
    "patience": whole_number(1),
    "min_delta": number("[0, inf)"),
    "checkpoint_steps": whole_number(1),
    "checkpoint_seconds": number("[0, inf)"),
    "dtype": word("float32", "float64"),
    "seed": whole_number(0),
}
"""What each parameter may be, by name."""
