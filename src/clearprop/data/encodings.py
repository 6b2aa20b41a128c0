"""Every kind of encoding that a model may have, and reading any of them back."""

from collections.abc import Mapping
from typing import TypeAlias

from clearprop.data.columns import Array
from clearprop.data.encoding import Encoding
from clearprop.data.series_encoding import SeriesEncoding
from clearprop.data.text_encoding import TextEncoding

AnyEncoding: TypeAlias = Encoding | TextEncoding | SeriesEncoding


def encoding_from_dict(content: object, arrays: Mapping[str, Array] | None = None) -> AnyEncoding:
    """Read what `to_dict` and `arrays` of any encoding gave; raises FileFormatError for anything else."""
    form = content.get("form") if isinstance(content, dict) else None
    for kind in (TextEncoding, SeriesEncoding):
        if form == kind.form:
            return kind.from_dict(content)
    return Encoding.from_dict(content, arrays)
