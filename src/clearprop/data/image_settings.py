"""How image files become arrays: what the user chose, and what of it a model file keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clearprop.data.saved_state import SavedState
from clearprop.settings import Allowed, check_settings, choice, field, whole

RESIZES = ("stretch", "crop", "pad")
DEFAULT_MEMORY = 2 << 30
_MOST = 1 << 13


def _is_size(value: Any) -> bool:
    numbers = value if isinstance(value, tuple) and len(value) == 2 else (value,) * 2
    whole_numbers = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    return whole_numbers and all(1 <= number <= _MOST for number in numbers)


def _read_size(text: str) -> Any:
    numbers = tuple(int(number) for number in text.lower().split("x"))
    return numbers[0] if len(numbers) == 1 else numbers


_SIZE = Allowed(
    f"is a number of pixels, or height and width (28x40 where it is typed), each from 1 to {_MOST}",
    _is_size,
    (0, (1,), "big", 1.5, None),
    read=_read_size,
)


@dataclass(frozen=True)
class ImageSettings:
    """How images are read.

    Attributes:
        size: what all images are brought to: (height, width), or one number for both. None takes them as they are, and
            those of another size than most count as bad.
        resize: how: "stretch" to the size; "crop" what is too much of the longer side, the same on both ends; or "pad"
            with black on both ends of the shorter one. Scaling is bilinear with antialiasing, as Pillow does it.
        color: "grey" (one channel), "rgb" (three), or "auto": grey if all files are.
        bad_images: what happens to files that cannot be decoded, or are of another size: "stop" names them in an error,
            "skip" leaves them out, and names them in a note.
        memory: how many bytes the pixels of a set may take as float32. If they are more, the set and all that is made
            of it lie in temporary files (`TMPDIR` says where), of which memory holds what is in use.
        layout: how arrays of images with channels come: "NHWC", channels last, or "NCHW", channels first.
    """

    size: int | tuple[int, int] | None = field(_SIZE.or_else(None), None)
    resize: str = choice(*RESIZES)
    color: str = choice("auto", "grey", "rgb")
    bad_images: str = choice("stop", "skip")
    memory: int = whole(DEFAULT_MEMORY, 0)
    layout: str = choice("NHWC", "NCHW")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The size as (height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass(frozen=True)
class ImageForm:
    """What every image of a set looks like as an array, and how it came to that; predictions need the same.

    Attributes:
        height, width, channels: the shape of one image.
        resize: how images of another size are brought to it.
    """

    height: int
    width: int
    channels: int
    resize: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def settings(self, bad_images: str = "stop") -> ImageSettings:
        """Return the settings that read files to this form."""
        color = "grey" if self.channels == 1 else "rgb"
        return ImageSettings((self.height, self.width), self.resize, color, bad_images)

    def to_dict(self) -> dict[str, Any]:
        """Return the form as JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, content: object) -> ImageForm:
        """Read what `to_dict` gave; raises FileFormatError."""
        state = SavedState(content, "the form of the images", ("height", "width", "channels", "resize"))
        form = cls(
            state.count("height"), state.count("width"), state.count("channels"), state.choice("resize", RESIZES)
        )
        state.require(form.channels in (1, 3) and _is_size((form.height, form.width)), "a possible shape")
        return form
