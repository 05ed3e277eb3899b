"""How many examples hypothesis tries: the number in a test, times EXAMPLES.

A test's own number is for `make test`; `make unit` tries a fraction of it, and `make long` several times as many.
"""

import math
import os
from typing import Final

_TIMES: Final = float(os.environ.get("EXAMPLES", "1"))


def examples(usual: int) -> int:
    """The number of examples of a test that usually tries `usual`; at least one."""
    return max(1, math.ceil(usual * _TIMES))
