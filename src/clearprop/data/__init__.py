"""Tables, arrays, images and bundled sets in; encoded arrays out.

`load` reads a source into a `Dataset`, `split` divides its rows, `Encoding` turns features and target into the arrays a
network trains on, and `batch_order` says in which order an epoch visits them.
"""

from clearprop.data.bundled import bundled_names
from clearprop.data.column_encoder import ColumnReport
from clearprop.data.dataset import Dataset
from clearprop.data.encoding import Encoding
from clearprop.data.encodings import AnyEncoding, encoding_from_dict
from clearprop.data.image_settings import ImageForm, ImageSettings
from clearprop.data.inference import ColumnKind
from clearprop.data.loading import iter_tables, load
from clearprop.data.printable import printable
from clearprop.data.series import find_season, naive_forecast, series_windows
from clearprop.data.series_encoding import SeriesEncoding
from clearprop.data.series_table import Series, series_of
from clearprop.data.splitting import batch_order, split
from clearprop.data.table import Table
from clearprop.data.text import Text, next_token_windows, read_text, split_by_position, text_figures
from clearprop.data.text_encoding import LEVELS, TextEncoding

__all__ = [
    "LEVELS",
    "AnyEncoding",
    "ColumnKind",
    "ColumnReport",
    "Dataset",
    "Encoding",
    "ImageForm",
    "ImageSettings",
    "Series",
    "SeriesEncoding",
    "Table",
    "Text",
    "TextEncoding",
    "batch_order",
    "bundled_names",
    "encoding_from_dict",
    "find_season",
    "iter_tables",
    "load",
    "naive_forecast",
    "next_token_windows",
    "printable",
    "read_text",
    "series_of",
    "series_windows",
    "split",
    "split_by_position",
    "text_figures",
]
