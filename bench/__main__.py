"""`python -m bench`."""

from bench.ending import in_a_line

with in_a_line():  # also for Ctrl-C during the other imports
    from bench.cli import main

    main()
