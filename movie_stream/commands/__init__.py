"""What each command does; its name stands in cli.py, its options beside that in options.py.

services.py and demo/ (trying out), init.py, settings.py and doctor/ (setting up), produce.py, dry_run.py and generate/
(views in), worker.py (counting), show/ (results out), dead_letters/ and rebuild.py (mending); signals.py and
refused_rows.py are shared.
"""
