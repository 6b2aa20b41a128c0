"""Tables, arrays, images and bundled sets in; encoded arrays out.

`load` reads a source into a `Dataset`, `split` divides its rows, `Encoding` turns features and target into the arrays a
network trains on, and `batch_order` says in which order an epoch visits them.
"""

from clearprop.data.bundled import bundled_names
from clearprop.data.column_encoder import ColumnReport
from clearprop.data.dataset import Dataset
from clearprop.data.encoding import Encoding
from clearprop.data.image_settings import ImageForm, ImageSettings
from clearprop.data.loading import iter_tables, load
from clearprop.data.printable import printable
from clearprop.data.splitting import batch_order, split
from clearprop.data.table import Table

__all__ = [
    "ColumnReport",
    "Dataset",
    "Encoding",
    "ImageForm",
    "ImageSettings",
    "Table",
    "batch_order",
    "bundled_names",
    "iter_tables",
    "load",
    "printable",
    "split",
]
