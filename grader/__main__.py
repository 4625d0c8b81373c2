"""`python -m grader`."""

import sys
from pathlib import Path

# `-m` puts the current folder first on sys.path, so a json.py lying there would be loaded instead of Python's own.
# The package is found already; nothing else of ours lies beside it.
here = str(Path(__file__).resolve().parent.parent)
sys.path[:] = [entry for entry in sys.path if entry not in ("", here, str(Path.cwd()))] + [here]

from grader.cli import main  # noqa: E402

sys.exit(main())
