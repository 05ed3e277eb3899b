"""Turns rows into records of the topic: csv_records.py (row by row), quick_records.py (the same, the fast way),
replay_input.py (the input of a replay), csv_views.py (a file of views).
"""
