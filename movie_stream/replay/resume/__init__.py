"""Resuming an interrupted replay: bookmark.py (how much of a file has arrived), arrivals.py (which views those are),
resumption.py (the views still to be sent).
"""
