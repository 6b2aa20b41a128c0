"""What the header of an image file says: without decoding it, and the same as decoding says."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from clearprop.data import load
from clearprop.data.decode_image import BadImageError, Header, read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
ORIENTATION = 0x0112


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags.tobytes().removeprefix(b"Exif\0\0")


def carrier(kind: str, orientation: int) -> bytes:
    """A chunk of PNG that tells the orientation."""
    tags = b"Exif\0\0" + exif(orientation)
    profile = f"\nexif\n{len(tags):8}\n{tags.hex()}\n".encode()
    packet = f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
    return {
        "eXIf": chunk(b"eXIf", exif(orientation)),
        "profile": chunk(b"tEXt", b"Raw profile type exif\0" + profile),
        "packed profile": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet),
    }[kind]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(file: bytes, before: bytes = b"", after: bytes = b"", piece: int = 50) -> bytes:
    """A PNG file with chunks before and after its pixels, and these in pieces."""
    place, written = 8, file[:8]
    while place < len(file):
        length, name = struct.unpack(">I4s", file[place : place + 8])
        content = file[place + 8 : place + 8 + length]
        place += 12 + length
        if name == b"IDAT":
            parts = (content[start : start + piece] for start in range(0, length, piece))
            written += before + b"".join(chunk(name, part) for part in parts)
        else:
            written += (after if name == b"IEND" else b"") + chunk(name, content)
    return written


def png(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG", **options)
    return stream.getvalue()


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "x.png"
    path.write_bytes(content)
    return path


def upright(path: Path) -> Header:
    """The size that Pillow finds when it decodes."""
    with Image.open(path) as opened:
        opened.load()
        turned = ImageOps.exif_transpose(opened)
    return Header(turned.height, turned.width, grey=False)


@pytest.fixture
def undecoded(monkeypatch):
    """Decoding a PNG fails."""

    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)


@pytest.mark.parametrize("kind", ["eXIf", "profile", "packed profile", "XMP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_found_before_and_after_the_pixels(tmp_path, kind, orientation):
    expected = Header(8, 6, grey=False) if orientation > 4 else Header(6, 8, grey=False)
    for place in ("before", "after"):
        path = saved(tmp_path, with_chunks(png(), **{place: carrier(kind, orientation)}))
        assert read_header(path) == upright(path) == expected
        assert load(path, require_target=False).features.shape == (1, expected.height, expected.width, 3)


@pytest.mark.parametrize("first", ["eXIf", "XMP", "profile"])
@pytest.mark.parametrize("second", ["eXIf", "XMP", "profile"])
def test_of_two_orientations_the_one_that_decoding_takes(tmp_path, first, second):
    for one, other in itertools.permutations((1, 6)):
        path = saved(tmp_path, with_chunks(png(), carrier(first, one), carrier(second, other)))
        assert read_header(path) == upright(path)


def test_a_png_is_not_decoded(tmp_path, undecoded):
    for content in (png(), png(exif=exif(6)), with_chunks(png(), after=carrier("eXIf", 6))):
        assert {read_header(saved(tmp_path, content)).height} <= {6, 8}


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.fromarray(PIXELS[:, ::-1])]
    for default in (False, True):
        animated = png(save_all=True, append_images=frames, default_image=default)
        assert b"fcTL" in animated
        for content in (animated, with_chunks(animated, after=carrier("eXIf", 6))):
            path = saved(tmp_path, content)
            assert read_header(path) == upright(path) == Header(6, 8, grey=False)
        path = saved(tmp_path, with_chunks(animated, before=carrier("eXIf", 6)))
        assert read_header(path) == upright(path) == Header(8, 6, grey=False)


def test_the_pixels_of_a_cut_png_are_not_looked_at(tmp_path, undecoded):
    whole = with_chunks(png(), after=carrier("eXIf", 6))
    start, end = whole.index(b"eXIf") + 4, whole.index(b"IEND") - 8  # of the tags
    for length in range(whole.index(b"IDAT") + 4, len(whole) + 1):
        path = saved(tmp_path, whole[:length])
        if start <= length < end:
            with pytest.raises(BadImageError, match="damaged: Truncated"):
                read_header(path)
        else:
            assert read_header(path).height == (6 if length < start else 8)


def test_a_png_without_pixels_is_bad_when_it_is_decoded(tmp_path):
    whole = png()
    path = saved(tmp_path, whole[: whole.index(b"IDAT") - 4] + chunk(b"IEND", b""))
    assert read_header(path) == Header(6, 8, grey=False)
    with pytest.raises(Exception, match="1 images cannot be used"):
        load(path, require_target=False)
