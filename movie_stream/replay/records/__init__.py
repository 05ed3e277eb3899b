"""Turns rows into records of the topic: csv_records.py (row by row), csv_parts.py (the same, a column at a time),
replay_input.py (the input of a replay), csv_views.py (a file of views).
"""
