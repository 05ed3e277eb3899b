"""A worker of another version: python -m tests.upgrades.other_version FORMAT COMMAND...

It is today's code, which says that what it stores has another format.
"""

from __future__ import annotations

import sys

from movie_stream.entry import main
from movie_stream.runs import fingerprint

if __name__ == "__main__":
    fingerprint.FORMAT = int(sys.argv[1])  # type: ignore[misc]
    sys.argv[1:] = sys.argv[2:]
    main()
