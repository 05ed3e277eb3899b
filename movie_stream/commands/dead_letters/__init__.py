"""`movie-stream dead-letters`: list.py and replay.py; common.py is shared by both."""
