"""`bench/learning.py` and `bench/lessons.py`, but for PyTorch: what is kept, the page, clearprop as a pupil."""

import dataclasses
import json

import learning
import lessons
import numpy as np
import pytest

import clearprop as cp

IMAGES, TEXT = lessons.LESSONS[0], lessons.LESSONS[-1]
NAMES = learning.LEARNERS


def small(lesson: lessons.Lesson) -> lessons.Material:
    """Samples of a lesson's kind, at random."""
    rng = np.random.default_rng(0)
    if lesson.data == "kjv":
        tokens = rng.integers(0, 5, (12, 2, 6))
        x, y = tokens[:, 0], tokens[:, 1]
    else:
        x, y = rng.random((12, 28, 28), np.float32), rng.integers(0, 5, 12)
    return lessons.Material(x[:8], y[:8], x[8:], y[8:], 5)


@pytest.mark.parametrize("lesson", lessons.LESSONS, ids=lambda lesson: lesson.name)
def test_clearprop_learns_every_lesson(lesson):
    lesson, data = dataclasses.replace(lesson, epochs=1, batch=4), small(lesson)
    learner = lessons.Clearprop(threads=1)
    figure = learner.learn(lesson, data, seed=1)
    assert learner.learn(lesson, data, seed=1) == figure
    assert figure >= 0
    assert learner.trainer(lesson, data)(3) > 0
    json.dumps(lesson.settings(data))


def test_figure_by_hand():
    assert lessons.figure(IMAGES, loss=0.5, accuracy=0.75) == 0.75
    assert lessons.figure(TEXT, loss=np.log(8), accuracy=0.75) == pytest.approx(3.0)


def test_a_last_small_batch_is_a_step():
    assert lessons.steps_of_an_epoch(dataclasses.replace(IMAGES, batch=3), small(IMAGES)) == 3


def test_first_samples():
    data = small(IMAGES).first(2)
    assert (len(data.x), len(data.y), len(data.test_x), len(data.test_y)) == (2, 2, 2, 2)


def test_without_the_bible(monkeypatch):
    monkeypatch.setattr(lessons, "VERSES", ("no-such-command",))
    with pytest.raises(cp.DataError, match="no-such-command"):
        lessons.material("another text")


def test_an_outcome_is_measured_once(tmp_path, capsys):
    kept = learning.Kept(tmp_path / "kept")
    values = iter([0.5, 0.25])
    assert kept.outcome("images PyTorch 0", {"epochs": 1}, None) is None
    assert kept.outcome("images PyTorch 0", {"epochs": 1}, lambda: next(values)) == 0.5
    assert kept.outcome("images PyTorch 0", {"epochs": 1}, lambda: next(values)) == 0.5
    assert kept.outcome("images PyTorch 0", {"epochs": 2}, None) is None
    assert kept.outcome("images PyTorch 0", {"epochs": 2}, lambda: next(values)) == 0.25
    assert capsys.readouterr().out == "images PyTorch 0: 0.5\nimages PyTorch 0: 0.25\n"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["images-PyTorch-0.json"]


def test_nothing_is_kept_without_a_folder():
    kept, values = learning.Kept(None), iter([1.0, 2.0])
    assert [kept.outcome("a", {}, lambda: next(values)) for _ in range(2)] == [1.0, 2.0]


def row(lesson: lessons.Lesson, ours: float, theirs: float) -> learning.Row:
    figures = {NAMES[0]: [0.92, 0.94], NAMES[1]: [0.9, 0.9]}
    return learning.Row(lesson, 100, figures, {NAMES[0]: ours, NAMES[1]: theirs})


def test_rows_by_hand():
    lesson = dataclasses.replace(IMAGES, epochs=5, batch=64, wanted=0.92)
    assert learning.figures_of(row(lesson, 0.01, 0.02)) == [
        *("vgg-small", "fashion-mnist", "5", "64", "0.003", "500", "accuracy", "0.92"),
        *("0.9300 ± 0.0141", "0.9000 ± 0.0000"),
    ]
    assert learning.times_of(row(lesson, 0.01, 0.02)) == ["vgg-small", "10.00", "20.00", "5", "10", "2.00"]


def test_what_is_missing_is_left_out(monkeypatch):
    whole = row(IMAGES, 0.01, 0.02)
    assert whole.learnt(2)
    figures, times = learning.tables([whole, dataclasses.replace(row(TEXT, 0.01, 0.02), pace={})], 2)
    assert (figures.count("\n"), times.count("\n")) == (3, 2)
    figures, times = learning.tables([whole], 3)
    assert (figures.count("\n"), times.count("\n")) == (1, 2)


def test_page(monkeypatch):
    monkeypatch.setattr(learning.metadata, "version", lambda name: f"of {name}")
    text = learning.page([row(lesson, 0.01, 0.02) for lesson in lessons.LESSONS], 2)
    assert "| vgg-small | 10.00 | 20.00 |" in text
    assert "PyTorch of torch" in text
    assert "{" not in text


def test_a_quick_pass(monkeypatch, capsys, tmp_path):
    learner = lessons.Clearprop(1)
    monkeypatch.setattr(learning, "learner", lambda name, threads: learner)
    monkeypatch.setattr(learning, "material", lambda data: small(IMAGES))
    monkeypatch.setattr(learning, "KEPT", tmp_path)
    monkeypatch.setattr(learning, "REPORT", tmp_path / "page.md")
    monkeypatch.setattr("sys.argv", ["learning.py", "--quick", "--only", "vgg-small"])
    learning.main()
    assert "| vgg-small | fashion-mnist | 1 |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
