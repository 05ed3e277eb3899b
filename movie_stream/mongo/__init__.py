"""MongoDB: the results' collections, and writes that can come twice, late or from a zombie and do no harm.

Start with `guard.py`, the condition under which a document may be replaced; then `bulk.py` and `sink.py`,
writing many of them; `schema.py`, what the database must look like; `query.py` and `read.py`, how results
are asked for, by commands and programs alike.
Only `client.py` names the driver motor; `failures.py` says what the driver's errors mean.
"""
