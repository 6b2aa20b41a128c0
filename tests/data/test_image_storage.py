"""Sets of images larger than the memory they may take, and images that come as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearprop.data import ImageSettings, load
from clearprop.data.storage import is_mapped, take_rows
from clearprop.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three grey images each; the pixels tell class and number."""
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            image = Image.fromarray(np.full((6, 8), 100 * label + i, np.uint8))
            image.save(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path / "pets"


class TestMemory:
    def test_a_large_set_lies_in_a_file(self, folder):
        held, mapped = load(folder), load(folder, images=ImageSettings(memory=6 * 6 * 8 * 4 - 1))
        assert is_mapped(mapped.features)
        assert not is_mapped(held.features)
        np.testing.assert_array_equal(mapped.features, held.features)
        assert mapped.notes == ("images of 6 x 8 pixels, grey; kept in temporary files, being more than 1151 bytes",)
        assert not is_mapped(load(folder, images=ImageSettings(memory=6 * 6 * 8 * 4)).features)

    def test_rows_of_it_do_too(self, folder):
        mapped = load(folder, images=ImageSettings(memory=0)).features
        rows = np.array([4, 0, 2])
        assert is_mapped(take_rows(mapped, rows))
        np.testing.assert_array_equal(take_rows(mapped, rows), np.asarray(mapped)[rows])
        chosen = np.arange(6) % 2 == 0
        np.testing.assert_array_equal(take_rows(mapped, chosen), np.asarray(mapped)[chosen])
        assert is_mapped(take_rows(mapped, slice(1, 3)))
        assert not is_mapped(np.asarray(mapped)[rows])

    def test_nothing_stays_behind(self, folder, tmp_path, monkeypatch):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        mapped = load(folder, images=ImageSettings(memory=0))
        assert is_mapped(mapped.features)
        assert list(scratch.iterdir()) == []

    def test_bad_files_leave_it_too(self, folder):
        (folder / "cats" / "a.png").write_bytes(b"x")
        found = load(folder, images=ImageSettings(memory=0, bad_images="skip"))
        assert is_mapped(found.features)
        assert found.features[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]


class TestArrays:
    def test_channels_first(self):
        x, y = RNG.random((4, 3, 5, 6)), np.arange(4)
        found = load((x, y), images=ImageSettings(layout="NCHW"))
        np.testing.assert_array_equal(found.features, np.transpose(x, (0, 2, 3, 1)))
        with pytest.raises(DataError, match="NCHW is one of arrays"):
            load((x[:, 0], y), images=ImageSettings(layout="NCHW"))

    def test_an_npz_file_with_a_test_part(self, tmp_path):
        x, y = RNG.integers(0, 256, (6, 3, 5, 4), dtype=np.uint8), np.arange(6) % 2
        np.savez(tmp_path / "set.npz", x_train=x[:4], y_train=y[:4], x_test=x[4:], y_test=y[4:])
        found = load(tmp_path / "set.npz", images=ImageSettings(layout="NCHW"))
        np.testing.assert_array_equal(found.features, np.moveaxis(x[:4], 1, -1))
        np.testing.assert_array_equal(found.test[0], np.moveaxis(x[4:], 1, -1))
        np.testing.assert_array_equal(found.test[1], y[4:])
        assert "test part: 'x_test', 'y_test'" in found.notes
        assert found.validation is None

    @pytest.mark.parametrize(("features", "target"), [("x_val", "y_val"), ("X_valid", "y_valid")])
    def test_an_npz_file_with_a_validation_part(self, tmp_path, features, target):
        x, y = RNG.normal(size=(6, 3)), np.arange(6) % 2
        np.savez(tmp_path / "set.npz", X=x[:4], y=y[:4], **{features: x[4:], target: y[4:]})
        found = load(tmp_path / "set.npz")
        np.testing.assert_array_equal(found.validation[0], x[4:])
        np.testing.assert_array_equal(found.validation[1], y[4:])
        assert found.test is None
        assert f"validation part: '{features}', '{target}'" in found.notes
        np.savez(tmp_path / "set.npz", X=x[:2], y=y[:2], **{features: x[4:], target: y[4:]})
        assert load(tmp_path / "set.npz", target=target).validation is None  # it is the target itself

    def test_parts_are_named_where_they_are_wrong(self, tmp_path):
        x, y = RNG.normal(size=(6, 3)), np.arange(6) % 2
        np.savez(tmp_path / "set.npz", X=x, y=y, x_val=x[:0], y_val=y[:0])
        with pytest.raises(DataError, match=r"^set.npz, validation part: the features have shape \(0, 3\)"):
            load(tmp_path / "set.npz")
