"""Prints how often each interval of the study covers the truth: ``python -m benchmarks.coverage``.

With a number it draws that many samples a row instead of those of the tests.
"""

import sys

from tests.coverages import table

if __name__ == "__main__":
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else None
    print(table(draws).to_string(index=False, float_format="{:.3f}".format))  # noqa: T201
