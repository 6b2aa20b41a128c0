"""What happens to locks when a process forks: the child has a copy of every lock, but not the thread that held it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_FORKS = hasattr(os, "register_at_fork")
"""Windows has no fork."""


def renew_in_child(renew: Callable[[], None]) -> None:
    """Call a function in every child process, before anything else runs there."""
    if _FORKS:
        os.register_at_fork(after_in_child=renew)


def hold_while_forking(lock: threading.RLock) -> None:
    """Fork only when no other thread holds a lock: what it guards is whole in the child, and the lock is free."""
    if _FORKS:
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
