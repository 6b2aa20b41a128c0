"""Images from files: folders by class, modes and formats, sizes, bad files, sets larger than memory."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clearprop.data import ImageForm, ImageSettings, load
from clearprop.data import decode_image as decoding
from clearprop.data.image_folder import ImageFile
from clearprop.data.read_images import _threads
from clearprop.errors import DataError, SettingsError

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def write(path: Path, image: Array | Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def one(path: Path, **settings: Any) -> Array:
    return load(path, require_target=False, images=ImageSettings(**settings)).features[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three grey images each; the pixels tell class and number."""
    for label, name in enumerate(("cats", "dogs")):
        for i in range(3):
            write(tmp_path / "pets" / name / f"{i}.png", np.full((6, 8), 100 * label + i, np.uint8))
    return tmp_path / "pets"


class TestFolders:
    def test_classes(self, folder):
        found = load(folder)
        assert found.name == "pets"
        assert found.features.shape == (6, 6, 8, 1)
        assert found.features[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
        assert found.target.tolist() == ["cats"] * 3 + ["dogs"] * 3
        assert found.target_name == "class"
        assert found.files == ("cats/0.png", "cats/1.png", "cats/2.png", "dogs/0.png", "dogs/1.png", "dogs/2.png")
        assert found.form == ImageForm(6, 8, 1, "stretch")
        assert found.notes == ("images of 6 x 8 pixels, grey",)
        assert found.test is found.validation is None

    @pytest.mark.parametrize("names", [("train", "test", "validation"), ("Training", "TESTING", "val")])
    def test_parts(self, tmp_path, names):
        for number, part in enumerate(names):
            for label in ("a", "b"):
                write(tmp_path / part / label / "x.png", np.full((2, 2), number, np.uint8))
        found = load(tmp_path)
        for number, (features, target) in enumerate([(found.features, found.target), found.test, found.validation]):
            assert features.shape == (2, 2, 2, 1)
            assert (features == number).all()
            assert target.tolist() == ["a", "b"]

    def test_a_class_may_be_called_train(self, tmp_path):
        for label in ("train", "test", "bus"):
            write(tmp_path / label / "x.png", GREY)
        assert load(tmp_path).target.tolist() == ["bus", "test", "train"]

    def test_what_is_not_used_is_told(self, folder):
        (folder / "readme.txt").write_text("x")
        (folder / "cats" / "thumbs.db").write_text("x")
        write(folder / "loose.png", GREY)
        (note,) = [note for note in load(folder).notes if note.startswith("not used")]
        assert note == "not used: 3 other files ('cats/thumbs.db', 'loose.png', 'readme.txt')"

    @pytest.mark.parametrize("start", ["", "train"])
    def test_a_class_without_images_is_told(self, tmp_path, start):
        for label in ("a", "b"):
            write(tmp_path / start / label / "x.png", GREY)
        (tmp_path / start / "c" / "deep").mkdir(parents=True)
        found = load(tmp_path)
        assert found.target.tolist() == ["a", "b"]
        assert f"no images of the classes '{(start + '/').lstrip('/')}c', which are left out" in found.notes

    def test_classes_may_have_folders_in_them(self, folder):
        write(folder / "cats" / "more" / "deep.png", GREY)
        assert load(folder).files[3] == "cats/more/deep.png"

    def test_without_classes(self, folder, tmp_path):
        write(folder / "loose.png", GREY)
        found = load(folder, require_target=False)
        assert found.target is None
        assert len(found) == 7
        assert found.files[-1] == "loose.png"

    def test_one_image(self, tmp_path):
        path = write(tmp_path / "x.png", COLOR)
        np.testing.assert_array_equal(one(path), COLOR)
        with pytest.raises(DataError, match=r"x.png is one image: name a folder of them by class"):
            load(path)

    def test_the_content_is_what_the_fingerprint_tells(self, folder, tmp_path):
        first = load(folder).fingerprint
        moved = folder.rename(tmp_path / "animals")
        assert load(moved).fingerprint == first
        assert load(moved, images=ImageSettings(4)).fingerprint != first
        (moved / "cats" / "0.png").rename(moved / "dogs" / "9.png")
        assert load(moved).fingerprint != first

    def test_the_order_does_not_depend_on_how_long_a_file_takes(self, tmp_path):
        for i in range(40):
            size = 300 if i % 2 else 2
            noise = RNG.integers(0, 256, (size, size), dtype=np.uint8)
            noise[: size // 2 + 1, : size // 2 + 1] = i
            write(tmp_path / "all" / f"{i:02d}.png", noise)
        found = load(tmp_path, require_target=False, images=ImageSettings(300))
        assert found.features[:, 0, 0, 0].tolist() == list(range(40))
        assert _threads([ImageFile(tmp_path / name) for name in found.files]) == os.cpu_count()

    @pytest.mark.parametrize("names", [(), ("a/x.txt",), ("x.png",)])
    def test_no_classes(self, tmp_path, names):
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DataError, match=r"no images in class folders: expected folder/class/image.png"):
            load(tmp_path)

    def test_an_empty_part_and_two_of_a_kind(self, folder):
        pets = folder.parent / "parts"
        pets.mkdir()
        folder.rename(pets / "train")
        (pets / "test").mkdir()
        with pytest.raises(DataError, match="no images in class folders for the test part"):
            load(pets)
        (pets / "test").rename(pets / "val")
        (pets / "valid").mkdir()
        with pytest.raises(DataError, match="'val', 'valid' two are for the same part"):
            load(pets)


class TestModes:
    """Every mode becomes bytes in a way that is written down."""

    @pytest.mark.parametrize(
        ("suffix", "exact"), [("png", True), ("bmp", True), ("tiff", True), ("jpg", False), ("webp", False)]
    )
    def test_formats(self, tmp_path, suffix, exact):
        smooth = np.broadcast_to(np.linspace(20, 220, 16).astype(np.uint8)[:, None, None], (16, 16, 3)).copy()
        read = one(write(tmp_path / f"x.{suffix}", smooth)).astype(int)
        assert np.abs(read - smooth).max() <= (6 if suffix in ("jpg", "webp") else 0)

    @pytest.mark.parametrize("suffix", ["pgm", "gif", "PNG"])
    def test_grey_formats(self, tmp_path, suffix):
        read = one(write(tmp_path / f"x.{suffix}", GREY), color="grey")
        np.testing.assert_array_equal(read[..., 0], GREY)

    def test_colour_to_grey_and_back(self, tmp_path):
        grey = one(write(tmp_path / "x.png", COLOR), color="grey")
        expected = COLOR @ np.array([0.299, 0.587, 0.114])
        assert np.abs(grey[..., 0] - expected).max() <= 1
        np.testing.assert_array_equal(
            one(write(tmp_path / "y.png", GREY), color="rgb"), np.repeat(GREY[..., None], 3, 2)
        )

    def test_colour_of_one_makes_colour_of_all(self, folder):
        assert load(folder).form.channels == 1
        write(folder / "dogs" / "9.png", COLOR)
        found = load(folder)
        assert found.form.channels == 3
        np.testing.assert_array_equal(found.features[-1], COLOR)

    def test_bits(self, tmp_path):
        np.testing.assert_array_equal(one(write(tmp_path / "x.png", GREY > 100))[..., 0], np.where(GREY > 100, 255, 0))
        deep = GREY.astype(np.uint16) * 256 + 77
        np.testing.assert_array_equal(one(write(tmp_path / "y.png", deep))[..., 0], GREY)
        np.testing.assert_array_equal(one(write(tmp_path / "y.tiff", deep.astype(np.int32)))[..., 0], GREY)

    def test_alpha_lies_over_black(self, tmp_path):
        alpha = np.dstack([COLOR, np.full((6, 8), 128, np.uint8)])
        assert np.abs(one(write(tmp_path / "x.png", alpha)) - COLOR * (128 / 255)).max() <= 1
        clear = np.dstack([GREY, np.zeros((6, 8), np.uint8)])
        assert not one(write(tmp_path / "y.png", Image.fromarray(clear))).any()

    def test_palette(self, tmp_path):
        indices = Image.new("P", (8, 6))
        indices.putdata((GREY % 3).ravel().tolist())
        indices.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
        colors = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
        np.testing.assert_array_equal(one(write(tmp_path / "x.png", indices)), colors[GREY % 3])
        np.testing.assert_array_equal(
            one(write(tmp_path / "y.png", indices, transparency=0)),
            np.where((GREY % 3 == 0)[..., None], 0, colors[GREY % 3]),
        )

    def test_cmyk(self, tmp_path):
        image = Image.new("CMYK", (8, 6), (255, 0, 0, 0))
        np.testing.assert_array_equal(one(write(tmp_path / "x.tiff", image)), np.full((6, 8, 3), (0, 255, 255)))

    def test_the_first_frame_of_an_animation(self, tmp_path):
        frames = [Image.fromarray(np.full((6, 8), value, np.uint8)) for value in (50, 200)]
        path = write(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:])
        assert (one(path, color="grey") == 50).all()

    @pytest.mark.parametrize("deep", [False, True])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation(self, tmp_path, orientation, deep):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = GREY.astype(np.uint16) * 256 if deep else GREY
        read = one(write(tmp_path / "x.png", pixels, exif=exif))[..., 0]
        turned = {
            1: GREY,
            2: GREY[:, ::-1],
            3: GREY[::-1, ::-1],
            4: GREY[::-1],
            5: GREY.T,
            6: np.rot90(GREY, -1),
            7: GREY[::-1, ::-1].T,
            8: np.rot90(GREY),
        }
        np.testing.assert_array_equal(read, turned[orientation])


class TestSizes:
    """Against the same steps in Pillow."""

    def test_stretch(self, tmp_path):
        path = write(tmp_path / "x.png", COLOR)
        expected = Image.fromarray(COLOR).resize((4, 10), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(one(path, size=(10, 4)), np.asarray(expected))

    def test_crop_keeps_the_middle(self, tmp_path):
        path = write(tmp_path / "x.png", COLOR)
        np.testing.assert_array_equal(one(path, size=6, resize="crop"), COLOR[:, 1:7])

    def test_pad_is_black(self, tmp_path):
        read = one(write(tmp_path / "x.png", COLOR), size=8, resize="pad")
        np.testing.assert_array_equal(read, np.pad(COLOR, ((1, 1), (0, 0), (0, 0))))

    def test_a_note_says_so(self, folder):
        assert load(folder, images=ImageSettings(4, "crop")).notes == (
            "images of 4 x 4 pixels, grey; 6 of another size: crop",
        )

    @pytest.mark.parametrize(
        "settings",
        [
            {"size": 0},
            {"size": (4,)},
            {"size": True},
            {"resize": "tile"},
            {"memory": -1},
            {"color": "blue"},
            {"bad_images": "mend"},
            {"layout": "HWC"},
        ],
        ids=str,
    )
    def test_wrong_settings(self, settings):
        with pytest.raises(SettingsError, match=f"ImageSettings: {next(iter(settings))} is"):
            ImageSettings(**settings)


def png_of(width: int, height: int) -> bytes:
    """A PNG file that promises a size and holds nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1000) + b"IDAT"


def damaged() -> dict[str, tuple[str, bytes, str]]:
    """By what is wrong: a name, a content, and the reason that is given."""
    odd, stream, jpeg = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (60, 80), dtype=np.uint8)).save(odd, "PNG")
    Image.fromarray(GREY).save(stream, "PNG")
    Image.fromarray(GREY).save(jpeg, "JPEG", quality=100)
    whole, floats = stream.getvalue(), io.BytesIO()
    Image.fromarray(np.ones((6, 8), np.float32)).save(floats, "TIFF")
    large = io.BytesIO()
    Image.fromarray(np.full((6, 8), 70000, np.int32)).save(large, "TIFF")
    return {
        "empty": ("bad.png", b"", "it is empty"),
        "text": ("bad.png", b"hello", "it is no image of a known format"),
        "truncated": ("bad.png", whole[: len(whole) // 2], "it is damaged: "),
        "truncated jpeg": ("bad.jpg", jpeg.getvalue()[:-30], "it is damaged: "),
        "flipped": ("bad.png", whole[:60] + b"\xff" * 20 + whole[80:], "it is damaged: "),
        "postscript": ("bad.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n", "no image of a known format"),
        "bomb": ("bad.png", png_of(9000, 9000), "9000 x 9000 pixels are more than 67108864"),
        "huge bomb": ("bad.png", png_of(2**31 - 1, 2**31 - 1), "it is damaged: "),
        "another size": ("bad.png", odd.getvalue(), "it has 60 x 80 pixels, and 6 have 6 x 8; a size for all"),
        "floats": ("bad.tiff", floats.getvalue(), "numbers without a range"),
        "large numbers": ("bad.tiff", large.getvalue(), "whole numbers beyond 16 bits"),
    }


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
class TestBadImages:
    @pytest.mark.parametrize("kind", damaged())
    def test_stop_names_them(self, folder, kind):
        name, content, reason = damaged()[kind]
        (folder / "dogs" / name).write_bytes(content)
        with pytest.raises(DataError, match=re.escape("1 images cannot be used (dogs/" + name + ": ")) as error:
            load(folder)
        assert reason in str(error.value)
        assert "bad_images='skip'" in str(error.value)

    def test_those_that_cannot_be_read_and_those_of_another_size_are_named_at_once(self, folder):
        (folder / "cats" / "bad.png").write_bytes(b"hello")
        write(folder / "dogs" / "large.png", np.zeros((3, 9), np.uint8))
        with pytest.raises(DataError, match="2 images cannot be used") as error:
            load(folder)
        assert "cats/bad.png: it is no image" in str(error.value)
        assert "dogs/large.png: it has 3 x 9 pixels" in str(error.value)

    @pytest.mark.parametrize("kind", damaged())
    def test_skip_leaves_them_out_and_says_so(self, folder, kind):
        name, content, reason = damaged()[kind]
        (folder / "cats" / f"0{name}").write_bytes(content)
        found = load(folder, images=ImageSettings(bad_images="skip"))
        assert found.features[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
        assert found.target.tolist() == ["cats"] * 3 + ["dogs"] * 3
        assert len(found.files) == 6
        (note,) = [note for note in found.notes if note.startswith("left out: 1 images")]
        assert reason in note

    @pytest.mark.parametrize("suffix", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
    def test_every_cut_of_a_file_is_read_or_bad(self, tmp_path, suffix):
        stream, path = io.BytesIO(), tmp_path / "x.png"
        Image.fromarray(COLOR).save(stream, suffix)
        whole, bad = stream.getvalue(), []
        for length in range(0, len(whole) + 1, max(len(whole) // 40, 1)):
            path.write_bytes(whole[:length])
            try:
                assert load(tmp_path, require_target=False).features.shape == (1, 6, 8, 3)
            except DataError as error:
                bad.append(str(error))
        assert len(bad) > 20
        assert all("1 images cannot be used" in message for message in bad)

    def test_nothing_is_left(self, folder):
        for path in folder.rglob("*.png"):
            path.write_bytes(b"x")
        with pytest.raises(DataError, match=r"no image of the train part can be used; 6 images cannot be used"):
            load(folder, images=ImageSettings(bad_images="skip"))

    def test_many_are_counted(self, tmp_path):
        for i in range(30):
            (tmp_path / f"{i:02d}.png").write_bytes(b"x")
        with pytest.raises(DataError, match=r"30 images cannot be used .* and 20 more"):
            load(tmp_path, require_target=False)

    def test_without_pillow(self, folder, monkeypatch):
        decoding.pillow.cache_clear()
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
        with pytest.raises(
            SettingsError, match=r"images need Pillow, which is not installed: pip install clearprop\[im"
        ):
            load(folder)
        decoding.pillow.cache_clear()
