"""The sets that need no download: five that scikit-learn ships, and Fashion-MNIST from a package of the system."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np

from clearprop.data.columns import Array
from clearprop.data.dataset import Dataset
from clearprop.data.printable import listed, printable
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
IRIS_FEATURES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
WINE_FEATURES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
)
_CELL_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
BREAST_CANCER_FEATURES = (
    *(f"mean {measure}" for measure in _CELL_MEASURES),
    *(f"{measure} error" for measure in _CELL_MEASURES),
    *(f"worst {measure}" for measure in _CELL_MEASURES),
)
DIABETES_FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
_FASHION_FILES = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))


def bundled_names() -> tuple[str, ...]:
    """Return the names that `load` understands without a file."""
    return (*_PACKAGED, *_IN_FOLDERS)


def names_in_folders() -> tuple[str, ...]:
    """Return the names of those that are read from files in a folder, which the user may choose."""
    return tuple(_IN_FOLDERS)


def load_bundled(name: str, data_dir: Path | None = None) -> Dataset:
    """Return a bundled set; `data_dir` is the folder of its files, for a set that lies in one."""
    return _PACKAGED[name]() if name in _PACKAGED else _IN_FOLDERS[name](data_dir)


def _packaged(*names: str) -> list[Path]:
    """The files of scikit-learn's sets, found without importing it: sklearn.datasets alone takes a second or more."""
    found = find_spec("sklearn")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    paths = [Path(folder) / "datasets" / "data" / name for folder in folders for name in names]
    if not paths or not all(path.is_file() for path in paths):
        raise DataError(
            f"the installed scikit-learn does not hold {listed(names)}: install it again, or load the set from a file"
        )
    return paths


def _labelled(name: str, file: str, feature_names: Sequence[str]) -> Callable[[], Dataset]:
    """A set whose first line holds the counts and the classes, and whose last column is the index of the class."""

    def load_set() -> Dataset:
        (path,) = _packaged(file)
        with path.open(encoding="utf-8") as stream:
            classes = stream.readline().strip().split(",")[2:]
            rows = np.loadtxt(stream, delimiter=",", ndmin=2)
        labels = np.asarray(classes)[rows[:, -1].astype(np.int64)]
        return Dataset(name, _table(feature_names, rows[:, :-1]), labels, "class", fingerprint=fingerprint(path))

    return load_set


def _digits() -> Dataset:
    (path,) = _packaged("digits.csv.gz")
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    return Dataset("digits", rows[:, :-1], rows[:, -1].astype(np.int64), "digit", fingerprint=fingerprint(path))


def _diabetes() -> Dataset:
    paths = _packaged("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")
    rows, target = np.loadtxt(paths[0], ndmin=2), np.loadtxt(paths[1])
    table = _table(DIABETES_FEATURES, rows)
    return Dataset("diabetes", table, target, "progression", fingerprint=fingerprint(*paths))


def _table(names: Sequence[str], values: Array) -> Table:
    return Table({name: values[:, i] for i, name in enumerate(names)})


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


_PACKAGED: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {
        "iris": _labelled("iris", "iris.csv", IRIS_FEATURES),
        "wine": _labelled("wine", "wine_data.csv", WINE_FEATURES),
        "breast-cancer": _labelled("breast-cancer", "breast_cancer.csv", BREAST_CANCER_FEATURES),
        "digits": _digits,
        "diabetes": _diabetes,
    }
)
"""Sets that come with an installed package."""

_IN_FOLDERS: Mapping[str, Callable[[Path | None], Dataset]] = MappingProxyType({"fashion-mnist": _fashion_mnist})
"""Sets whose files lie in a folder: of the system, or the one that is given."""
