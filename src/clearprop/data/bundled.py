"""The sets that need no download: five that scikit-learn ships, and Fashion-MNIST from a package of the system."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.dataset import Dataset
from clearprop.data.fingerprints import array_fingerprint
from clearprop.data.printable import printable
from clearprop.data.read_idx import read_idx
from clearprop.data.source_file import fingerprint
from clearprop.data.table import Table
from clearprop.errors import DataError

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_FASHION_FILES = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))


def bundled_names() -> tuple[str, ...]:
    """Return the names that `load` understands without a file."""
    return tuple(_SETS)


def load_bundled(name: str, data_dir: Path | None = None) -> Dataset:
    """Return a bundled set; `data_dir` is a folder to look for its files in first (Fashion-MNIST)."""
    return _SETS[name](data_dir)


def _from_sklearn(name: str, loader: str, **options: Any) -> Callable[[Path | None], Dataset]:
    def load_set(data_dir: Path | None) -> Dataset:
        import sklearn.datasets  # noqa: PLC0415 - a second or more that only these sets need

        content = getattr(sklearn.datasets, loader)(**options)
        features = np.asarray(content["data"], dtype=np.float64)
        target = np.asarray(content["target"])
        return _packed(name, features, target, content["feature_names"], content.get("target_names"))

    return load_set


def _packed(
    name: str,
    features: Array,
    target: Array,
    feature_names: Sequence[str],
    classes: Sequence[str] | None,
) -> Dataset:
    """A set of scikit-learn's: a table, except digits, which is an array of pixels; classes by their names."""
    digest = array_fingerprint({"features": features, "target": target})
    if name == "digits":
        return Dataset(name, features, target.astype(np.int64), "digit", fingerprint=digest)
    table = Table({str(column): features[:, i] for i, column in enumerate(feature_names)})
    if classes is None:
        return Dataset(name, table, target.astype(np.float64), "progression", fingerprint=digest)
    labels = np.asarray([str(label) for label in classes])[target]
    return Dataset(name, table, labels, "class", fingerprint=digest)


def _fashion_mnist(data_dir: Path | None) -> Dataset:
    paths = _fashion_paths(data_dir)
    images, labels, test_images, test_labels = (read_idx(path) for path in paths)
    notes = ("60000 images to train on and the official 10000 to test on, 28 by 28, 10 classes",)
    return Dataset(
        "fashion-mnist",
        images,
        _named(labels, len(images), paths[1]),
        "class",
        test=(test_images, _named(test_labels, len(test_images), paths[3])),
        notes=notes,
        fingerprint=fingerprint(*paths),
    )


def _named(labels: Array, n_images: int, path: Path) -> Array:
    if labels.shape != (n_images,) or labels.dtype.kind not in "iu" or labels.max() >= len(FASHION_CLASSES):
        raise DataError(
            f"{printable(path)} holds labels of shape {labels.shape} for {n_images} images: expected one of 0 to 9 each"
        )
    return np.asarray(FASHION_CLASSES)[labels]


def _fashion_paths(data_dir: Path | None) -> list[Path]:
    folders = [FASHION_FOLDER] if data_dir is None else [data_dir, data_dir / "fashion-mnist"]
    for folder in folders:
        found = [_first_file(folder / (name + ".gz"), folder / name) for name in _FASHION_FILES]
        paths = [path for path in found if path is not None]
        if len(paths) == len(_FASHION_FILES):
            return paths
    looked = " or ".join(printable(folder, 200) for folder in folders)
    raise DataError(
        f"fashion-mnist is not in {looked}. Install it (apt install dataset-fashion-mnist), or give the folder "
        f"(data_dir, --data-dir) that holds its four files: {', '.join(name + '.gz' for name in _FASHION_FILES)}"
    )


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


_SETS: Mapping[str, Callable[[Path | None], Dataset]] = MappingProxyType(
    {
        "iris": _from_sklearn("iris", "load_iris"),
        "wine": _from_sklearn("wine", "load_wine"),
        "breast-cancer": _from_sklearn("breast-cancer", "load_breast_cancer"),
        "digits": _from_sklearn("digits", "load_digits"),
        "diabetes": _from_sklearn("diabetes", "load_diabetes", scaled=False),
        "fashion-mnist": _fashion_mnist,
    }
)
