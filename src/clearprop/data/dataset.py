"""`Dataset`: features and target as they were read, with what the user should know about them."""

from dataclasses import dataclass
from typing import TypeAlias

from clearprop.data.columns import Array
from clearprop.data.image_settings import ImageForm
from clearprop.data.table import Table

Features: TypeAlias = Table | Array


@dataclass(frozen=True, eq=False)
class Dataset:
    """Raw features and target from one source; `Encoding` turns them into arrays to train on.

    Attributes:
        name: what to call it: "iris", "houses.csv".
        features: a `Table`, or an array of any rank whose first axis counts the samples: (n, d), (n, 28, 28).
        target: labels or numbers, (n,), or (n, k) for several numeric targets; None if there is none.
        target_name: the name of the target column, a tuple of names for several, None if it has none.
        test: the official test part as (features, target) where the set has one, else None.
        validation: the set's own validation part, in the same way.
        notes: what was detected or done, in words for the user.
        fingerprint: SHA-256, in hexadecimal, of the decompressed content the set was read from; it does not depend on
            the path or the file's date, so a resumed run can tell that its data changed.
        form: how image files became arrays; None for anything else.
        files: the image file that each sample came from, relative to the folder; empty for anything else.
    """

    name: str
    features: Features
    target: Array | None
    target_name: str | tuple[str, ...] | None = None
    test: tuple[Features, Array] | None = None
    validation: tuple[Features, Array] | None = None
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    form: ImageForm | None = None
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features)
