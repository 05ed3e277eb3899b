"""The peers. Each is a file, or a Maven project, written as its own documentation recommends, and fairly tuned.

All are called with SERVERS TOPIC EVENTS (some with more). On standard output they report, one object per line, when the
first event arrives or is requested, and when the last is counted:

    {"mark": "first"}
    {"mark": "last", "events": 3000000}

`catalogue.py` lists them.
"""
