"""A child process that is forked, whatever the threads of its parent are doing then."""

from __future__ import annotations

import os

import pytest
from processes import python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

# from 3.12 on Python itself warns of forks in a process of several threads
_QUIET = """
import signal, warnings
warnings.simplefilter('ignore')
"""

_FORK = """
child = os.fork()
if child == 0:
    signal.alarm(10)
    {do}
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("sleep", ["", "time.sleep(0.05)"])
def test_a_forked_child_has_a_team_of_its_own(sleep: str) -> None:
    text = f"""
{sleep}
before = run.team.address
child = os.fork()
if child == 0:
    assert run.team.address == 0
    for _ in range(20):
        assert np.array_equal(run(x)["result"], expected)
    assert run.team.address and threading.active_count() == 3
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert run.team.address == before
assert np.array_equal(run(x)["result"], expected)
print("done")
"""
    assert python(_QUIET + text) == "done\n"


_OTHER = """
other = ops.trace(ops.exp, {"x": Type("float32", (3,))})
def compile_other():
    Native(threads=1).compile(other)
"""


def test_a_child_compiles_what_a_thread_of_its_parent_was_compiling() -> None:
    text = """
from clearprop.backends.native import native
write, inside = native.write_module, threading.Event()
def wait_forever(program, target):
    inside.set()
    time.sleep(1000)
native.write_module = wait_forever
threading.Thread(target=compile_other, daemon=True).start()
inside.wait()
native.write_module = write
"""
    assert python(_QUIET + _OTHER + text + _FORK.format(do="compile_other()")) == "7\n"


def test_a_child_is_forked_when_llvm_is_at_rest() -> None:
    text = """
from clearprop.backends.native import jit
module, inside = jit._module, threading.Event()
def slowly(text, machine):
    inside.set()
    time.sleep(0.3)
    return module(text, machine)
jit._module = slowly
threading.Thread(target=compile_other).start()
inside.wait()
jit._module = module
"""
    do = "Native(threads=1).compile(ops.trace(ops.log, {'x': Type('float32', (3,))}))"
    assert python(_QUIET + _OTHER + text + _FORK.format(do=do), CLEARPROP_CACHE="off") == "7\n"


def test_a_pool_of_forked_processes_trains_while_a_thread_does() -> None:
    text = """
import multiprocessing
import clearprop as cp
rng = np.random.default_rng(0)
x, y = rng.normal(size=(256, 12)).astype("f4"), rng.integers(0, 3, 256)
def fit(units):
    model = cp.Model(cp.nn.Sequential(cp.nn.Dense(units, "relu"), cp.nn.Dense(3)), "cross_entropy")
    model.fit(x, y, epochs=2, progress=False)
    return float(model.predict(x).sum())
units = [5, 6, 7, 8]
expected = [fit(size) for size in units]
over = threading.Event()
def train():
    size = 20
    while not over.is_set():
        fit(size)
        size += 1
thread = threading.Thread(target=train)
thread.start()
for _ in range(3):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(fit, units).get(timeout=20) == expected
over.set()
thread.join()
print("done")
"""
    assert python(_QUIET + text, CLEARPROP_CACHE="off") == "done\n"
