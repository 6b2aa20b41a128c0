import io
import re
import sys

import pytest
from rich.console import Console
from tests.display.events import Clock, diverged, epoch_ended, fit, play, progressed, started

from clearprop.display.live import FEW_EPOCHS, LiveDisplay
from clearprop.train.events import FitEnded

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def show(events, width=120, seconds=0.2, close=False, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(file=stream, force_terminal=True, width=width, height=10, color_system=None)
    clock = Clock()
    display = LiveDisplay(console, clock)
    play(display, events, clock, seconds)
    if close:
        display.close()
    stream.flush()
    return raw.getvalue().decode(encoding)


def screen(output: str) -> list[str]:
    """What a terminal shows in the end: carriage return, erase line and cursor up are all that is needed."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", output):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece == "\x1b[1A":
            row -= 1
        elif piece[0] not in "\x1b\r":
            lines[row] += piece
    return [line.rstrip() for line in lines if line.strip()]


def widest(output: str) -> int:
    plain = re.sub(r"\x1b\[\??[\d;]*[A-Za-z]", "", output)
    return max(len(line) for line in re.split(r"[\r\n]", plain))


def test_the_line_shows_epoch_bar_rate_eta_loss_and_quantities():
    events = [started(), epoch_ended(1, val_loss=0.25, accuracy=0.9), progressed(15)]
    (line,) = screen(show(iter(events)))[-1:]
    assert re.fullmatch(
        r"epoch 2/3  ━{12}╌{12}  1\.20k/s  ETA 0\.4 s  loss 0\.5000  val_loss 0\.2500  accuracy 0\.9000", line
    )


def test_few_epochs_leave_a_line_each_and_the_last_line():
    lines = screen(show(fit(val_loss=0.25)))
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3", "done"]


def test_many_epochs_leave_the_last_line_alone():
    lines = screen(show(fit(epochs=FEW_EPOCHS + 1, steps=2)))
    assert len(lines) == 1
    assert lines[0].startswith("done  21 epochs")


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("events", [fit, diverged])
def test_no_line_is_wider_than_the_terminal(width, events):
    output = show(events(), width)
    assert widest(output) < width
    assert len(screen(output)) == (4 if events is fit else 2)


def test_40_columns_keep_what_matters():
    events = [started(epochs=20), epoch_ended(1, val_loss=0.25), progressed(15)]
    assert re.fullmatch(r"epoch  2/20  ETA \S+ s  loss 0\.5000", screen(show(iter(events), 40))[-1])


def test_the_cursor_comes_back_at_the_end():
    output = show(fit())
    assert output.count(HIDE) == output.count(SHOW) == 1
    assert output.rstrip().endswith(SHOW)


def test_close_gives_the_cursor_back_when_the_fit_broke_off():
    output = show(iter([started(), progressed(5)]), close=True)
    assert output.rindex(SHOW) > output.rindex(HIDE)
    assert screen(output)[-1].startswith("epoch 1/3")


def test_an_interrupted_fit_says_so():
    lines = screen(show(iter([started(), progressed(5), FitEnded("interrupted", 5, 0, None, 1.0)])))
    assert lines == ["interrupted  0 of 3 epochs  step 5  1.0 s"]


def test_a_diverged_fit_says_why():
    lines = screen(show(diverged(), width=160))
    assert lines[-1].startswith("diverged  1 of 3 epochs  step 15  3.2 s  dense1.z (z) of layer dense1 is the first")
    assert lines[-1].endswith("best epoch 1")


def test_updates_come_ten_times_a_second_at_most():
    few, many = show(fit(epochs=1, steps=100), seconds=0.001), show(fit(epochs=1, steps=100), seconds=0.2)
    assert few.count("\r") <= 5
    assert many.count("\r") >= 100


def test_an_ascii_terminal_gets_an_ascii_bar():
    output = show(iter([started(), progressed(5)]), encoding="ascii")
    assert "############------------" in output


def test_stdout_that_is_no_terminal_is_left_alone(capsys):
    before = sys.stdout
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    display = LiveDisplay(console, clock)
    display(started())
    assert sys.stdout is before
    print("a result")
    display.close()
    assert capsys.readouterr().out == "a result\n"


def test_a_second_fit_closes_the_first():
    output = show(iter([started(), progressed(5), *fit()]))
    assert output.count(HIDE) == output.count(SHOW) == 2
    assert screen(output)[-1].startswith("done")
