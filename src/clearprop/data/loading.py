"""`load`: whatever holds data in, a `Dataset` out; `iter_tables`: the same for tables larger than memory."""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.data.bundled import bundled_names, load_bundled, names_in_folders
from clearprop.data.columns import Array
from clearprop.data.dataset import Dataset, Features
from clearprop.data.decode_image import SUFFIXES
from clearprop.data.fingerprints import array_fingerprint, table_fingerprint
from clearprop.data.frames import is_frame, table_from_columns, table_from_frame
from clearprop.data.given_arrays import array_from, features_from, name_of, target_from
from clearprop.data.image_settings import ImageSettings
from clearprop.data.inference import ColumnKind
from clearprop.data.printable import listed, printable, quoted
from clearprop.data.read_arrays import read_npy, read_npz
from clearprop.data.read_csv import read_csv, stream_csv
from clearprop.data.read_idx import is_idx, labels_beside, read_idx
from clearprop.data.read_images import read_image, read_image_folder
from clearprop.data.read_parquet import read_parquet, stream_parquet
from clearprop.data.source_file import checked_path, ends_in, fingerprint, head
from clearprop.data.table import Table
from clearprop.data.targets import pop_target
from clearprop.errors import DataError, HeaderError, SettingsError

_FEATURE_KEYS = ("X", "x", "features", "data", "images", "x_train", "X_train")
_TARGET_KEYS = ("y", "target", "targets", "labels", "label", "y_train")
_PARTS = {
    "test": (("x_test", "X_test"), ("y_test",)),
    "validation": (("x_val", "X_val", "x_valid", "X_valid", "x_validation"), ("y_val", "y_valid", "y_validation")),
}
"""What the features and the targets of a part are called that is not for training."""
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class _Options:
    target: Any
    data_dir: Path | None
    delimiter: str | None
    encoding: str | None
    header: bool | None
    require_target: bool
    images: ImageSettings
    kinds: Mapping[str, ColumnKind]


def load(
    source: Any,
    *,
    target: Any = None,
    data_dir: str | Path | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    require_target: bool = True,
    images: ImageSettings | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
) -> Dataset:
    """Read data from a file, a folder of images, a bundled set, a data frame or arrays.

    Args:
        source: one of
            a name of `bundled_names()`;
            a path to .csv, .tsv, .txt, .data, .parquet, .npz, .npy or an IDX file, text and IDX with or without .gz
            (write ./iris for a file that has the name of a bundled set);
            a folder of images by class, folder/CLASS/image.png, or folder/train/CLASS/image.png with test and
            validation beside train (needs Pillow: `clearprop[images]`);
            a data frame of pandas, polars or pyarrow;
            a pair (X, y) of arrays, frames or series, or an array X alone;
            a dictionary of arrays: columns if all are one-dimensional, else like a .npz file: X and y, and for parts of
            their own x_test, y_test, x_val and y_val.
        target: for a table the target column: a name, several (a sequence, or separated by commas), or a position;
            by default the one column called target, label, class or y; () for none, with `require_target` False. For
            .npz and dictionaries of arrays the key of the target (default: y, target, labels ...). For .npy and IDX the
            file of the labels; for IDX it is found by its usual name (images-idx3 -> labels-idx1). For an array X, the
            array y.
        data_dir: the folder of the files of fashion-mnist, the one bundled set that lies in one; refused for all else.
        delimiter, encoding, header: of a text file; detected if None, but .tsv files are separated by tabs.
        require_target: whether having no target is an error; False is for data to predict on. A target column
            that is there is then still taken out of the features. Of a folder, it takes the images anywhere in it;
            and of a path, a single image.
        images: how images are read: their size, colours, layout, what is done about bad files.
        kinds: what columns of a table are read as where they come as text, by name, for data that a trained model is to
            be used on: its `Encoding.kinds`. Of a column that is not named, the values tell it.

    Returns:
        The data as it was read, not encoded; its notes say what was detected.

    Raises:
        DataError: the data cannot be used; the message names file, row and column where there is one.
        SettingsError: an option has a value that is not allowed.
    """
    folder = None if data_dir is None else Path(data_dir)
    settings = images or ImageSettings()
    options = _Options(target, folder, delimiter, encoding, header, require_target, settings, kinds or {})
    dataset = _loaded(source, options)
    if folder is not None and not (isinstance(source, str) and source in names_in_folders()):
        raise DataError(
            f"the files of {quoted(dataset.name)} do not lie in a folder to choose: leave out data_dir (--data-dir), "
            f"which is for {', '.join(names_in_folders())}"
        )
    return _channels_last(dataset) if options.images.layout == "NCHW" else dataset


def _loaded(source: Any, options: _Options) -> Dataset:
    if isinstance(source, str | Path):
        return _load_path(source, options)
    if isinstance(source, Table):
        return _from_table(source, "table", options)
    if isinstance(source, Mapping):
        return _from_mapping({str(key): array_from(value) for key, value in source.items()}, "arrays", options)
    if is_frame(source):
        return _from_table(table_from_frame(source, options.kinds), "data frame", options)
    if isinstance(source, tuple) and len(source) == 2:
        return _from_pair(source[0], source[1], options)
    return _from_pair(source, options.target, options)


def _channels_last(dataset: Dataset) -> Dataset:
    """Bring arrays of images that have their channels first to the layout of the others."""
    if isinstance(dataset.features, Table) or dataset.features.ndim != 4 or dataset.form is not None:
        raise DataError(f"{dataset.name}: the layout NCHW is one of arrays (n, channels, height, width)")
    test = dataset.test
    if test is not None and not isinstance(test[0], Table):
        test = (np.moveaxis(test[0], 1, -1), test[1])
    return replace(dataset, features=np.moveaxis(dataset.features, 1, -1), test=test)


def iter_tables(
    source: Any,
    *,
    rows: int = 65536,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
) -> Iterator[Table]:
    """Yield the columns of a table, target included, as tables of at most `rows` rows, in order.

    CSV and Parquet files are streamed, so they may be larger than memory; of these, numbers are float64 throughout,
    and all tables agree on the kind of each column. Data frames, dictionaries of columns and `Table`s are cut up.
    `delimiter`, `encoding`, `header` and `kinds` are as `load` takes them.

    Raises DataError as `load` does, also midway, and for a source that is not a table; SettingsError if `rows` < 1.
    """
    if rows < 1:
        raise SettingsError(f"rows is {rows}: expected at least 1")
    if isinstance(source, str | Path):
        path = _existing(source)
        if _reader(path) is _load_parquet:
            return stream_parquet(path, rows)
        if _reader(path) is _load_csv:
            return stream_csv(path, rows, delimiter=delimiter, encoding=encoding, header=header, kinds=kinds)
    elif isinstance(source, Table):
        return _cut(source, rows)
    elif isinstance(source, Mapping):
        return _cut(table_from_columns(source, kinds), rows)
    elif is_frame(source):
        return _cut(table_from_frame(source, kinds), rows)
    raise DataError("only tables can be read in parts: a CSV or Parquet file, a data frame, a dictionary of columns")


def _cut(table: Table, rows: int) -> Iterator[Table]:
    return (table.take(slice(start, start + rows)) for start in range(0, len(table), rows))


def _load_path(source: str | Path, options: _Options) -> Dataset:
    if isinstance(source, str) and source in bundled_names():
        found = load_bundled(source, options.data_dir)
        if options.target not in (None, found.target_name):
            raise DataError(
                f"the target of {source} is {quoted(found.target_name)}, not {quoted(options.target)}; leave it out"
            )
        return found
    if os.path.isdir(source):  # False for names that no file can have, too
        return read_image_folder(Path(source), options.images, labelled=options.require_target)
    path = _existing(source)
    return _reader(path)(path, options)


def _existing(source: str | Path) -> Path:
    path = Path(source)
    try:
        return checked_path(path)
    except DataError as error:
        if not str(error).startswith("there is no file"):
            raise
        near = difflib.get_close_matches(path.name, [*bundled_names(), *_siblings(path)], n=1)
        hint = f" Did you mean {quoted(near[0])}?" if near else ""
        raise DataError(f"{error}.{hint} The bundled sets are {', '.join(bundled_names())}") from None


def _siblings(path: Path) -> list[str]:
    try:
        return [other.name for other in path.parent.iterdir()]
    except OSError:
        return []


def is_delimited(source: str) -> bool:
    """Whether what `load` is asked for is a text file in columns, to which `delimiter` and `header` mean something."""
    return source not in bundled_names() and Path(source).is_file() and _reader(Path(source)) is _load_csv


def _reader(path: Path) -> Callable[[Path, _Options], Dataset]:
    """The reader for a file: by its suffix, and for text by its first bytes too, which may be those of an IDX file."""
    suffix = path.suffix.lower()
    by_suffix = {".npz": _load_npz, ".npy": _load_npy}
    by_suffix |= dict.fromkeys(_PARQUET, _load_parquet) | dict.fromkeys(SUFFIXES, _load_image)
    if suffix in by_suffix:
        return by_suffix[suffix]
    if "idx" in suffix or ends_in(path.name, "-ubyte") or is_idx(head(path, 4)):
        return _load_idx
    return _load_csv


def _load_csv(path: Path, options: _Options) -> Dataset:
    result = read_csv(
        path, delimiter=options.delimiter, encoding=options.encoding, header=options.header, kinds=options.kinds
    )
    try:
        dataset = _from_table(result.table, printable(path.name), options)
    except HeaderError as error:
        there = [name for name in error.columns if name in result.line_1]
        if not there:
            raise
        raise HeaderError(
            f"{error}. {quoted(there[0])} stands in line 1, which was taken for values: "
            "if it holds the names of the columns, say --header (header=True)",
            error.columns,
        ) from error
    return replace(dataset, notes=(*result.notes, *dataset.notes), fingerprint=result.fingerprint)


def _load_parquet(path: Path, options: _Options) -> Dataset:
    table, digest = read_parquet(path)
    dataset = _from_table(table, printable(path.name), options)
    notes = (f"{len(table)} rows and {len(table.names)} columns, Parquet", *dataset.notes)
    return replace(dataset, notes=notes, fingerprint=digest)


def _load_npz(path: Path, options: _Options) -> Dataset:
    dataset = _from_mapping(read_npz(path), printable(path.name), options)
    return replace(dataset, fingerprint=fingerprint(path))


def _load_npy(path: Path, options: _Options) -> Dataset:
    features = read_npy(path)
    if options.target is None:
        return _without_target(features, printable(path.name), options, fingerprint(path))
    labels = checked_path(Path(options.target))
    dataset = _from_arrays(features, read_npy(labels), printable(path.name), options)
    return replace(dataset, fingerprint=fingerprint(path, labels))


def _load_idx(path: Path, options: _Options) -> Dataset:
    images = read_idx(path)
    labels = labels_beside(path) if options.target is None else checked_path(Path(options.target))
    if labels is None:
        return _without_target(images, printable(path.name), options, fingerprint(path))
    dataset = _from_arrays(images, read_idx(labels), printable(path.name), options)
    notes = (*dataset.notes, f"labels from {printable(labels.name)}")
    return replace(dataset, notes=notes, fingerprint=fingerprint(path, labels))


def _load_image(path: Path, options: _Options) -> Dataset:
    if options.require_target:
        raise DataError(f"{printable(path.name)} is one image: name a folder of them by class, folder/CLASS/image.png")
    return read_image(path, options.images)


def _without_target(features: Array, label: str, options: _Options, digest: str) -> Dataset:
    if options.require_target:
        raise DataError(f"{label} holds features but no labels: give the file of the labels as target (--target)")
    return Dataset(label, features_from(features, label, options.kinds), None, fingerprint=digest)


def _from_table(table: Table, name: str, options: _Options) -> Dataset:
    if len(table) == 0 or not table.columns:
        raise DataError(f"{name} has {len(table)} rows and {len(table.columns)} columns: there is nothing to read")
    features, values, target_name = pop_target(table, options.target, name, required=options.require_target)
    notes: tuple[str, ...] = ()
    if target_name is not None and options.target is None:
        notes = (f"target: the column {quoted(target_name)}, by its name",)
    if target_name is None and options.target is not None and np.size(options.target):
        notes = (f"there is no target column {quoted(options.target)}: all columns are features",)
    return Dataset(name, features, values, target_name, notes=notes, fingerprint=table_fingerprint(table))


def _from_mapping(arrays: Mapping[str, Array], name: str, options: _Options) -> Dataset:
    if not arrays:
        raise DataError(f"{name} is empty: expected arrays by name")
    if all(array.ndim == 1 for array in arrays.values()):
        return _from_table(table_from_columns(arrays, options.kinds), name, options)
    features = _key(arrays, _FEATURE_KEYS, None)
    target = _key(arrays, _TARGET_KEYS, options.target)
    if features is None:
        others = [key for key in arrays if key != target]
        features = others[0] if len(others) == 1 else None
    if features is None:
        raise DataError(f"{name}: which array holds the features? Call it X; there are {listed(tuple(arrays))}")
    if target is None:
        if options.require_target:
            wanted = "y" if options.target is None else str(options.target)
            raise DataError(f"{name} has no array {quoted(wanted)} for the target; there are {listed(tuple(arrays))}")
        return Dataset(
            name, features_from(arrays[features], name, options.kinds), None, fingerprint=array_fingerprint(arrays)
        )
    notes: tuple[str, ...] = (f"features {quoted(features)}, target {quoted(target)}",)
    dataset = _from_arrays(arrays[features], arrays[target], name, options)
    parts: dict[str, tuple[Features, Array]] = {}
    used = [features, target]
    for part, usual in _PARTS.items():
        keys = [key for names in usual if (key := _key(arrays, names, None)) is not None and key not in used]
        if len(keys) < len(usual):
            continue
        held = _from_arrays(arrays[keys[0]], arrays[keys[1]], f"{name}, {part} part", options)
        assert held.target is not None, "the key of an array was given"
        parts[part] = (held.features, held.target)
        used += keys
        notes += (f"{part} part: {listed(keys)}",)
    unused = [key for key in arrays if key not in used]
    if unused:
        notes += (f"not used: {listed(unused)}",)
    return replace(dataset, target_name=target, test=parts.get("test"), validation=parts.get("validation"), notes=notes)


def _key(arrays: Mapping[str, Array], usual: tuple[str, ...], given: Any) -> str | None:
    if given is not None:
        return str(given) if str(given) in arrays else None
    return next((key for key in usual if key in arrays), None)


def _from_pair(features: Any, target: Any, options: _Options) -> Dataset:
    if is_frame(features):
        table = table_from_frame(features, options.kinds)
        values = target_from(target, len(table), "data frame")
        digest = table_fingerprint(table, target=values)
        return Dataset("data frame", table, values, name_of(target), fingerprint=digest)
    array = array_from(features)
    if target is None:
        if options.require_target:
            raise DataError("there are features but no target: pass the pair (X, y)")
        digest = array_fingerprint({"features": array})
        return Dataset("arrays", features_from(array, "X", options.kinds), None, fingerprint=digest)
    return _from_arrays(array, target, "arrays", options)


def _from_arrays(features: Array, target: Any, name: str, options: _Options) -> Dataset:
    values = target_from(target, len(features) if features.ndim else 0, name)
    digest = array_fingerprint({"features": features, "target": values})
    return Dataset(name, features_from(features, name, options.kinds), values, name_of(target), fingerprint=digest)
