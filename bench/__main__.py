"""`python -m bench`."""

from bench.ending import in_a_line

with in_a_line():  # Ctrl-C while the rest is imported, too
    from bench.cli import main

    main()
