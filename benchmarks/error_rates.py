"""Prints which verdicts planted truths get: ``python -m benchmarks.error_rates``.

With a number it makes that many draws a truth instead of those of the tests.
"""

import sys

from tests.planted_truths import DRAWS, error_rates

if __name__ == "__main__":
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else DRAWS
    print(error_rates(draws).to_string(index=False, float_format="{:.3f}".format))  # noqa: T201
