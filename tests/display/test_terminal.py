"""The displays in a real terminal: a child process on a pseudo-terminal."""

import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time

import pytest

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
CODES = re.compile(r"\x1b\[\??[\d;]*[A-Za-z]")
HEAD = """
import sys, time
from clearprop.display import progress
from tests.display.events import diverged, fit, progressed, started
"""
FIT = (
    HEAD + "display = progress({mode!r})\nfor event in fit(val_loss=0.25):\n    display(event)\n    time.sleep(0.02)\n"
)


def run(script: str, columns: int = 80, interrupt: bool = False) -> tuple[str, str]:
    """Run a script with a terminal as its stderr; return what the terminal and what a piped stdout received."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=child,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    os.close(child)
    received = b""
    try:
        while True:
            piece = os.read(parent, 65536)
            if not piece:
                break
            received += piece
            if interrupt and HIDE.encode() in received and b"\xe2\x94\x81" in received:
                time.sleep(0.05)
                process.send_signal(signal.SIGINT)
                interrupt = False
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        pass
    out, _ = process.communicate(timeout=60)
    os.close(parent)
    return received.decode(), out.decode()


def widest(output: str) -> int:
    return max(len(line) for line in re.split(r"[\r\n]+", CODES.sub("", output)))


@pytest.mark.parametrize("columns", [40, 80])
def test_auto_is_the_live_line_and_never_wraps(columns):
    terminal, out = run(FIT.format(mode="auto") + "print('result')", columns)
    assert HIDE in terminal
    assert widest(terminal) < columns
    assert terminal.count(HIDE) == terminal.count(SHOW) == 1
    assert terminal.rindex(SHOW) > terminal.rindex(HIDE)
    assert "done  3 epochs" in CODES.sub("", terminal)
    assert out == "result\n"


def test_plain_has_no_control_codes_in_a_terminal():
    terminal, _ = run(FIT.format(mode="plain"))
    assert "\x1b" not in terminal
    assert terminal.count("\n") == len(terminal.splitlines())
    assert set(re.findall(r"[^ -~]", terminal)) == {"\r", "\n"}  # the terminal itself writes \n as \r\n


def test_an_exception_gives_the_cursor_back_and_its_traceback_stays_readable():
    script = (
        HEAD + "display = progress('live')\ndisplay(started())\ndisplay(progressed(5))\nraise RuntimeError('broken')"
    )
    terminal, _ = run(script)
    assert terminal.rindex(SHOW) > terminal.rindex(HIDE)
    assert "RuntimeError: broken" in [line.strip() for line in CODES.sub("", terminal).splitlines()]


def test_ctrl_c_gives_the_cursor_back():
    script = (
        HEAD + "display = progress('live')\nfor event in fit(epochs=900):\n    display(event)\n    time.sleep(0.02)"
    )
    terminal, _ = run(script, interrupt=True)
    assert "KeyboardInterrupt" in terminal
    assert terminal.rindex(SHOW) > terminal.rindex(HIDE)
    assert "done" not in terminal


def test_what_the_program_prints_to_stderr_stays_readable():
    script = HEAD + (
        "display = progress('live')\n"
        "for event in fit():\n    display(event)\n    time.sleep(0.02)\n"
        "    if getattr(event, 'batch', 0) == 5: print('a remark', file=sys.stderr)"
    )
    terminal, _ = run(script)
    assert [line.strip() for line in CODES.sub("", terminal).splitlines()].count("a remark") == 3
