"""Alerts on the content, and what is expected of the data.

expectations.py is what the data's quality is judged by.
"""
