"""What every test shares: settings, and the tables in `tables/` that several folders go over."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "tables"))

# A shared machine may be slow at any moment: a deadline would make a test fail by chance.
settings.register_profile("clearprop", deadline=None, print_blob=True)
settings.load_profile("clearprop")

# Machine code that is compiled in a test stays away from the user's cache, and is gone when the tests are. Processes
# that share the tests share it too: each of them starts with the environment of the first.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["CLEARPROP_CACHE"] = tempfile.mkdtemp(prefix="clearprop-cache-")
    atexit.register(shutil.rmtree, os.environ["CLEARPROP_CACHE"], ignore_errors=True)
