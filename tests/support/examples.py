"""How many examples hypothesis tries: few in every run, more where EXAMPLES says so, as `make long` does."""

import os
from typing import Final

_TIMES: Final = int(os.environ.get("EXAMPLES", "1"))


def examples(few: int) -> int:
    """The number of examples of a test that tries `few` in every run."""
    return few * _TIMES
