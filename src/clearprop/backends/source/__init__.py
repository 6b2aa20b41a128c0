"""The readable source: any program as a Python module that runs as printed, with NumPy alone.

In the order of the work: `expressions` and `rules` turn a node into an expression, `statements` decides which
values get a line of their own, `blocks` puts the lines into the order of the textbook, `names` finds identifiers,
`layout` keeps lines short, `printer` writes the module.
"""

from clearprop.backends.source.names import argument_names
from clearprop.backends.source.printer import print_source

__all__ = ["argument_names", "print_source"]
