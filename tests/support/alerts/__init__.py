"""Alerts: what makes them, what they should be, and who is told.

- stage.py: views that make alerts, the rules for them, and the collection held against the reference
- reference.py: alerts counted plainly, each window by itself
- webhook_receiver.py: a small HTTP server that takes webhooks, or does not
"""
