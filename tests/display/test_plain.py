import io

from tests.display.events import Clock, diverged, epoch_ended, fit, play, progressed, started

from clearprop.display.plain import PlainDisplay
from clearprop.train.events import FitEnded


class Stream(io.StringIO):
    """Counts the lines that were not flushed at once."""

    unflushed = 0

    def write(self, text):
        self.unflushed += 1
        return super().write(text)

    def flush(self):
        self.unflushed = 0


def lines_of(events, seconds=0.1):
    clock, stream = Clock(), Stream()
    play(PlainDisplay(stream, clock), events, clock, seconds)
    assert stream.unflushed == 0
    return stream.getvalue().splitlines()


def test_a_line_an_epoch_between_the_opening_and_the_last():
    lines = lines_of(fit(val_loss=0.25))
    assert lines[0] == "1,234 parameters, 320 samples, 3 epochs of 10 steps"
    assert lines[1].startswith("epoch 1/3  loss 1.000  val_loss 0.2500  ")
    assert "ETA" in lines[1]
    assert "ETA" not in lines[3]
    assert [line.split()[0] for line in lines[1:]] == ["epoch", "epoch", "epoch", "done"]


def test_no_control_codes():
    text = "\n".join(lines_of(diverged()))
    assert all(character.isprintable() or character == "\n" for character in text)


def test_control_characters_in_a_name_do_not_reach_the_stream():
    lines = lines_of(fit(**{"bad\x1b[2J\r\nname": 1.0}))
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 5


def test_quick_epochs_write_about_a_line_a_second_the_first_and_the_last():
    lines = lines_of(fit(epochs=200, steps=1), seconds=0.01)  # 4 events an epoch, 30 ms each: 6 s in all
    epochs = [line for line in lines if line.startswith("epoch")]
    assert epochs[0].startswith("epoch   1/200")
    assert epochs[-1].startswith("epoch 200/200")
    assert 6 <= len(epochs) <= 9


def test_a_long_epoch_writes_a_line_a_minute():
    lines = lines_of(fit(epochs=1, steps=100), seconds=6.0)
    within = [line for line in lines if "%" in line]
    assert len(within) == 10
    assert within[0].startswith("epoch 1/1  10%  ")
    assert "ETA 9:" in within[0]


def test_an_interrupted_fit_writes_the_last_epoch_and_what_happened():
    events = [started(epochs=9), epoch_ended(1), epoch_ended(2), progressed(25)]
    lines = lines_of(iter([*events, FitEnded("interrupted", 25, 2, 2, 0.4)]), seconds=0.1)
    assert lines[-2].startswith("epoch 2/9")
    assert lines[-1] == "interrupted  2 of 9 epochs  step 25  0.4 s  best epoch 2"


def test_a_diverged_fit_ends_with_what_happened():
    last = lines_of(diverged())[-1]
    assert last.startswith("diverged  1 of 3 epochs  step 15  3.2 s  dense1.z (z) of layer dense1 is the first")
    assert last.endswith("best epoch 1")


def test_a_fit_that_breaks_off_leaves_its_last_epoch_and_closing_twice_does_no_harm():
    clock, stream = Clock(), Stream()
    display = PlainDisplay(stream, clock)
    play(display, iter([started(), epoch_ended(1), epoch_ended(2)]), clock)
    display.close()
    display.close()
    assert stream.getvalue().splitlines()[-1].startswith("epoch 2/3")
    display(progressed(25))
    assert len(stream.getvalue().splitlines()) == 3


def test_one_display_can_show_two_fits():
    clock, stream = Clock(), Stream()
    display = PlainDisplay(stream, clock)
    for _ in range(2):
        play(display, fit(), clock)
    lines = stream.getvalue().splitlines()
    assert lines[:5][-1].startswith("done")
    assert lines[5:][-1].startswith("done")
    assert len(lines) == 10


def test_an_encoding_that_lacks_a_character_does_not_break_the_fit():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    play(PlainDisplay(stream, Clock()), fit(**{"précision": 0.5}))
    assert b"pr?cision 0.5000" in raw.getvalue()
