import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from tests.display.events import Clock, diverged, fit, play

from clearprop.display import progress
from clearprop.display.live import LiveDisplay
from clearprop.display.notebook import NotebookDisplay
from clearprop.display.plain import PlainDisplay
from clearprop.errors import SettingsError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def ipython(monkeypatch):
    """A module that looks like IPython in a kernel, and records what is displayed."""
    shown = []

    def display(view, display_id):
        assert display_id is True
        shown.append(view)
        return SimpleNamespace(update=shown.append)

    root, part = ModuleType("IPython"), ModuleType("IPython.display")
    root.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    root.display, part.display = part, display
    monkeypatch.setitem(sys.modules, "IPython", root)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return SimpleNamespace(shown=shown, root=root)


@pytest.mark.parametrize("mode", ["quiet", False])
def test_quiet_is_none(mode):
    assert progress(mode) is None


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_one(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress("auto", io.StringIO()), PlainDisplay)
    assert isinstance(progress(True, Terminal()), LiveDisplay)
    assert isinstance(progress("plain", Terminal()), PlainDisplay)
    assert isinstance(progress("live", io.StringIO()), LiveDisplay)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress("auto", Terminal()), PlainDisplay)


def test_colours_forced_on_a_pipe_do_not_make_it_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(progress("auto", io.StringIO()), PlainDisplay)


def test_a_program_without_a_console_shows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert progress("plain") is None
    assert progress("auto") is None


def test_an_unknown_mode_is_refused():
    with pytest.raises(SettingsError, match="auto, live, plain, notebook, quiet"):
        progress("loud")


def test_the_notebook_is_chosen_in_a_kernel(ipython):
    assert isinstance(progress(), NotebookDisplay)
    ipython.root.get_ipython = lambda: SimpleNamespace(config={"TerminalIPythonApp": {}})
    assert not isinstance(progress(), NotebookDisplay)
    ipython.root.get_ipython = lambda: None
    assert not isinstance(progress(), NotebookDisplay)


def test_the_notebook_updates_one_output_in_place(ipython):
    clock = Clock()
    play(NotebookDisplay(clock), fit(**{"<b>": 0.5}), clock)
    first, *updates = ipython.shown
    assert "<progress" in first._repr_html_()
    assert 10 <= len(updates) <= 22
    last = updates[-1]
    assert repr(last).splitlines()[-1].startswith("done  3 epochs")
    assert len(repr(last).splitlines()) == 4
    assert "&lt;b&gt;" in last._repr_html_()
    assert "<progress" not in last._repr_html_()


def test_the_notebook_says_why_a_fit_diverged(ipython):
    play(NotebookDisplay(Clock()), diverged())
    assert "first to be NaN" in repr(ipython.shown[-1])


def test_a_notebook_without_ipython_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(SettingsError, match="IPython"):
        progress("notebook")


def test_a_display_is_a_context_manager():
    stream = io.StringIO()
    with progress("plain", stream) as display:
        play(display, fit())
    assert stream.getvalue().splitlines()[-1].startswith("done")
