"""``vanishing`` for studies whose jobs are the shell's: `python tests/lazy_head.py study CONFIG`.

The processes that load torch and pandas for a study's jobs are there, and load when a first one
asks. Here none does.
"""

import sys

from vanishing.cli import main
from vanishing.study import preloaded

_running = preloaded.running


def lazily(environment, wanted, at_once, families):  # noqa: ARG001 - in place of another
    """What stands for ``preloaded.running``."""
    return _running(environment, wanted, False, families)


if __name__ == "__main__":
    preloaded.running = lazily
    sys.exit(main(sys.argv[1:]))
