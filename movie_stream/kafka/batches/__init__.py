"""Record batches: headers.py (headers of any name, and damage named by its place), inflate.py (unpacking within
bounds), record_batch.py (the records of a batch as columns), batch_offsets.py (how the broker numbers them), unpack.py
(a response as chunks, without an object a record).
"""
