"""The implementation of each command; names and help are in cli.py, options in options.py.

services.py and demo/ (trying out), init.py, settings.py and doctor/ (setting up), produce.py, dry_run.py and generate/
(views in), worker.py (counting), show/, export/, serve.py and alerts/ (results out), dead_letters/ and rebuild.py
(repair); signals.py, window_range.py and refused_rows.py are shared.
"""
