"""Alerts: views that cause them, the expected ones, and a receiver.

- stage.py: views that make alerts, the rules for them, and the collection held against the reference
- reference.py: alerts counted plainly, each window separately
- webhook_receiver.py: a small HTTP server that takes webhooks, or does not
"""
