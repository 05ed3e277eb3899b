"""The results over HTTP.

What changes, all readers learn from one feed: coalesced.py is what is known of it and what a reader is told next,
sources.py where it comes from, and feed.py brings both together.
"""
