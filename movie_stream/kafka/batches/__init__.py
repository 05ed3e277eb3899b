"""Record batches: headers.py (headers of any name), inflate.py (unpacking within bounds), record_batch.py (the
records of a batch as columns), unpack.py (a response as chunks, without an object a record).
"""
