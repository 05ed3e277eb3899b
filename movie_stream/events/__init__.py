"""The event: what a view of a film is, and how records become views.

contract.py (its rules), event.py (the plain decoder), layout.py (the same for whole columns of records that are written
alike), views.py (decoded views as columns), chunk.py (a run of records of one partition), reasons.py (why records are
refused, by kind), moment.py and time_range.py (times as people write them).
"""
