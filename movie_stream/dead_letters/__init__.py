"""Dead letters: records that were refused, and their copies.

letters.py (the open letters of a topic), originals.py (the whole records of truncated letters), copies.py (the copies
that would count now). Workers write letters (agents/accumulate.py) and keep track of them (aggregates/refused.py).
"""
