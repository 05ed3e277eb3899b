"""The others. Each is a file, or a Maven project, of what its own documentation would have a user write, tuned fairly.

All are called with SERVERS TOPIC EVENTS (some with more) and tell on standard output, an object a line, when the first
event has come or is asked for, and when the last is counted:

    {"mark": "first"}
    {"mark": "last", "events": 3000000}

`catalogue.py` lists them.
"""
