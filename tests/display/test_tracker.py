import math

import pytest
from tests.display.events import Clock, diverged, epoch_ended, fit, progressed, started

from clearprop.display.tracker import Part, Tracker, fit_parts
from clearprop.train.events import EpochEnded, FitEnded


def track(clock: Clock, *events_and_seconds) -> Tracker:
    tracker = Tracker(clock)
    for event, seconds in events_and_seconds:
        clock.now += seconds
        tracker(event)
    return tracker


def test_there_is_no_eta_before_a_step():
    tracker = track(Clock(), (started(), 0.0))
    assert tracker.seconds_left is None
    assert tracker.samples_per_second is None


def test_eta_is_the_rest_at_the_measured_speed():
    tracker = track(Clock(), (started(), 0.0), (progressed(6), 3.0))  # 2 steps a second, 24 to go
    assert tracker.seconds_left == pytest.approx(12.0)
    assert tracker.samples_per_second == pytest.approx(2 * 320 / 10)


def test_eta_after_resume_counts_only_the_steps_of_this_process():
    tracker = track(Clock(), (started(step=20), 0.0), (progressed(24), 2.0))  # 2 steps a second, 6 to go
    assert tracker.seconds_left == pytest.approx(3.0)
    assert tracker.head().text == "epoch 3/3"


def test_a_resumed_fit_says_so_and_stands_in_its_epoch():
    tracker = track(Clock(), (started(step=15), 0.0))
    assert tracker.head().text == "epoch 2/3"
    assert tracker.fraction == pytest.approx(0.5)
    assert "goes on after step 15 of 30" in tracker.opening()


def test_speed_is_that_of_the_last_half_minute():
    clock = Clock()
    tracker = track(clock, (started(epochs=1, steps=1000), 0.0))
    for step in range(1, 101):  # a step a second
        clock.now += 1.0
        tracker(progressed(step, 1000))
    for step in range(101, 801):  # ten a second, for 70 seconds
        clock.now += 0.1
        tracker(progressed(step, 1000))
    assert tracker.steps_per_second == pytest.approx(10.0, rel=0.01)
    assert tracker.seconds_left == pytest.approx(20.0, rel=0.01)


def test_a_clock_that_stands_still_gives_no_speed():
    assert track(Clock(), (started(), 0.0), (progressed(5), 0.0)).seconds_left is None


def test_running_shows_loss_and_last_quantities_with_val_loss_first():
    tracker = track(
        Clock(), (started(), 0.0), (epoch_ended(1, accuracy=0.5, val_loss=0.25), 1.0), (progressed(11), 1.0)
    )
    assert [part.text for part in tracker.running()][-3:] == ["loss 0.5000", "val_loss 0.2500", "accuracy 0.5000"]


def closing(*events) -> str:
    return "  ".join(part.text for part in track(Clock(), *((event, 1.0) for event in events)).closing())


def test_closing_of_a_finished_fit():
    text = closing(*fit(val_loss=0.25))
    assert text == ("done  3 epochs  step 30  12 s  loss 0.3333  val_loss 0.2500  lowest val_loss 0.2500 in epoch 1")


def test_closing_of_a_stopped_fit_names_the_best_epoch():
    text = closing(started(), epoch_ended(1), epoch_ended(2), FitEnded("early stopping", 20, 2, 1, 2.0))
    assert text.startswith("stopped early  2 of 3 epochs")
    assert text.endswith("best epoch 1")


def test_closing_of_an_interrupted_fit():
    text = closing(started(), epoch_ended(1), progressed(15), FitEnded("interrupted", 15, 1, None, 2.0))
    assert text == "interrupted  1 of 3 epochs  step 15  2.0 s"


def test_a_diverged_fit_is_over_when_its_message_has_come():
    tracker = Tracker(Clock())
    seen = []
    for event in diverged():
        tracker(event)
        seen.append(tracker.over)
    assert seen == [False, False, False, False, True]
    text = "  ".join(part.text for part in tracker.closing())
    assert text.startswith("diverged  1 of 3 epoch")
    assert "dense1.z (z) of layer dense1 is the first to be NaN, in 4 of 32 elements" in text
    assert text.endswith("best epoch 1")
    assert "training diverged" not in text


def test_nan_is_never_the_lowest():
    text = closing(
        started(),
        EpochEnded(1, 10, {"loss": math.nan}, 1.0, False),
        epoch_ended(2),
        FitEnded("finished", 20, 2, None, 1.0),
    )
    assert text.endswith("lowest loss 0.5000 in epoch 2")


def test_fit_parts_leaves_out_the_highest_rank_first_and_never_rank_0():
    parts = [Part("head"), Part("aaaa", 2), Part("bbbb", 1), Part("cccc", 2)]
    assert [part.text for part in fit_parts(parts, 22)] == ["head", "aaaa", "bbbb", "cccc"]
    assert [part.text for part in fit_parts(parts, 21)] == ["head", "aaaa", "bbbb"]
    assert [part.text for part in fit_parts(parts, 11)] == ["head", "bbbb"]
    assert [part.text for part in fit_parts(parts, 2)] == ["head"]
