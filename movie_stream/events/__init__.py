"""The event: the contract of a view of a film, and the decoding of records into views.

contract.py (its rules), event.py (the reference decoder), layout.py (a fast decoder for whole columns of records with
the same layout), views.py (decoded views as columns), chunk.py (a run of records of one partition), reasons.py (the
reasons of refusals, by kind), timestamps.py and time_range.py (times as users write them).
"""
