"""Dead letters: the records that were refused, and what becomes of them.

letters.py (the letters of a topic, as they stand now), originals.py (the records that they are about), copies.py
(which of them would count now). Workers write them (agents/accumulate.py), and remember them (aggregates/refused.py).
"""
