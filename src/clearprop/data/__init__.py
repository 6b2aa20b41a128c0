"""Tables, arrays and bundled sets in; encoded arrays out."""

from clearprop.data.bundled import bundled_names
from clearprop.data.dataset import Dataset
from clearprop.data.loading import iter_tables, load
from clearprop.data.printable import printable
from clearprop.data.table import Table

__all__ = ["Dataset", "Table", "bundled_names", "iter_tables", "load", "printable"]
