"""Let the tests of this folder, and `measure.py`, share `native_steps`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
