"""A run: the folder that keeps what was trained, how, and with what result."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearprop.description import describe
from clearprop.errors import FileFormatError, SettingsError
from clearprop.files import locked, read_json, to_json, write_bytes, write_json
from clearprop.model.saving import save
from clearprop.train import EpochEnded, Event, FitSettings, FitState, History, Listener, Progressed

if TYPE_CHECKING:
    from clearprop.model.model import Model


class Run:
    """A folder with settings.json, history.json, events.jsonl, checkpoint.safetensors and model.safetensors.

    Attributes:
        path: the folder; it is made when something is written.
        lock: the file that keeps others out while somebody trains; it is there no longer than that.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings = self.path / "settings.json"
        self.history_file = self.path / "history.json"
        self.events = self.path / "events.jsonl"
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.model_file = self.path / "model.safetensors"
        self.results = self.path / "results.json"
        self.lock = self.path / ".training.lock"
        self._held = False

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def exists(self) -> bool:
        """Tell whether the folder holds a run."""
        return self.settings.is_file()

    @contextmanager
    def held(self, new: bool = False) -> Iterator[None]:
        """Keep everybody else from training in the folder while a `with` block runs, which may hold such blocks itself.

        Args:
            new: whether a run starts here, for which the folder must be unused; see `check_unused`.

        Raises:
            SettingsError: another process, or another fit, trains in the folder, or it holds a run.
        """
        with ExitStack() as stack:
            if not self._held:
                try:
                    stack.enter_context(locked(self.lock))
                except BlockingIOError as error:
                    raise SettingsError(
                        f"{self.path} is being trained already, by another process or another fit of this one, and "
                        "two would write over each other: wait until that has ended, or stop it, and then go on"
                    ) from error
                self._held = True
                stack.callback(setattr, self, "_held", False)
            if new:
                self.check_unused()
            yield

    def check_unused(self) -> None:
        """Raise `SettingsError` if the folder keeps what was trained: a new run would replace it."""
        if self.checkpoint.exists() or self.model_file.exists():
            raise SettingsError(
                f"{self.path} holds a run already: choose another folder, or go on with it by resume=True"
            )

    def begin(self, model: Model, settings: FitSettings, resumed: FitState | None) -> Listener:
        """Write the settings and return the listener that writes the events down, one a line.

        Args:
            model: what is trained.
            settings: how.
            resumed: the state that the run goes on from, or None for a new run. Events from after that state, which
                will happen again, are taken out.
        """
        self.update_settings({"model": repr(model), "fit": describe(settings)})
        for abandoned in self.path.glob(".*.part"):  # a process was killed while it wrote
            abandoned.unlink(missing_ok=True)
        log = EventLog(self.events)
        if resumed is None:
            self.events.unlink(missing_ok=True)  # of a run that was killed before it kept anything else
        else:
            log.keep_until(resumed)
        return log

    def finish(self, model: Model, history: History) -> None:
        """Write the history and the model."""
        write_json(self.history_file, asdict(history))
        save(model, self.model_file)

    def update_settings(self, settings: dict[str, Any]) -> None:
        """Add to the settings that the folder keeps."""
        before = read_json(self.settings) if self.settings.exists() else {}
        write_json(self.settings, before | settings)

    def read_settings(self) -> dict[str, Any]:
        """Return the settings; `FileFormatError` if the folder holds no run."""
        self._check()
        settings = read_json(self.settings)
        if not isinstance(settings, dict):
            raise FileFormatError(f"{self.settings} holds no settings")
        return settings

    def history(self) -> History:
        """Return the history."""
        self._check()
        try:
            content = read_json(self.history_file)
            if not isinstance(content, dict):
                raise TypeError(f"it is a {type(content).__name__}, not a mapping")
            history = History(**content)
            if not 0 <= (history.best_epoch or 0) <= len(history):
                raise TypeError(f"the best of {len(history)} epochs is {history.best_epoch}")
            history.epochs = [
                {name: math.nan if value is None else value for name, value in record.items()}
                for record in history.epochs
            ]
            return history
        except (AttributeError, TypeError) as error:
            raise FileFormatError(f"{self.history_file} holds no history: {error}") from error

    def _check(self) -> None:
        if not self.exists():
            raise FileFormatError(f"{self.path} holds no run: there is no {self.settings.name} in it")


def folders_in(folder: Path) -> list[Run]:
    """Return the folders in a folder as runs, whether they hold one or not; iris-9 comes before iris-10."""
    found = [Run(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda run: _order(run.path.name))


def _order(name: str) -> tuple[str, int]:
    stem, _, counter = name.rpartition("-")
    return (stem, int(counter)) if counter.isdecimal() else (name, 0)


class EventLog:
    """A listener that writes events to a file, one a line.

    Attributes:
        patient: True: it may hear of the end of an epoch late, see `train.Listener`.
    """

    patient = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep_until(self, state: FitState) -> None:
        """Take out what happened after a state, and a line that was cut short."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            write_bytes(self.path, "".join(f"{line}\n" for line in lines if _is_before(line, state)).encode())

    def __call__(self, event: Event) -> None:
        """Write an event, unless it tells of progress only."""
        if isinstance(event, Progressed):
            return
        line = to_json({"event": type(event).__name__} | asdict(event))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _is_before(line: str, state: FitState) -> bool:
    """Whether a line of the log tells of an event up to a state; the end of an epoch may come after its last step."""
    try:
        event = json.loads(line)
        if event["event"] == EpochEnded.__name__:
            return bool(event["epoch"] <= state.epoch)
        return bool(event["step"] <= state.step)
    except (ValueError, LookupError, TypeError):
        return False
