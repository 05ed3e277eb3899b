"""Record batches: headers.py (headers of any name, and errors with the offset of the batch), inflate.py (decompression
within bounds), record_batch.py (the records of a batch as columns), batch_offsets.py (the offsets that the broker
assigns), holes.py (batches that are still missing between others), unpack.py (a response as chunks, without an object
per record).
"""
