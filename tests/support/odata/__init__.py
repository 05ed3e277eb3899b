"""The OData feed.

- asking.py: the feed asked in this process, and what MongoDB has of the same
- filters.py: filters made up, and what they mean
- olingo.py: Apache Olingo's client, which reads the feed as a program of others
"""
