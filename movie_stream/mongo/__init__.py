"""MongoDB: the results' collections, and writes that can come twice, late or from a zombie and do no harm.

Start with `guard.py`, the condition under which a document may be replaced; then `bulk.py` and `sink.py`,
writing many of them; `schema.py`, what the database must look like; `read.py`, what `movie-stream show` asks.
Only `client.py` names the driver motor; `failures.py` says what the driver's errors mean.
"""
