"""Let the tests of this folder share `optimizer_paths`, `optimizer_references` and `optimizer_cases`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
