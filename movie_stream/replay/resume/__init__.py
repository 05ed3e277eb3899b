"""Resuming an interrupted replay: bookmark.py (how much of a file has arrived), arrivals.py (which of its views),
resumption.py (what is still to be sent).
"""
