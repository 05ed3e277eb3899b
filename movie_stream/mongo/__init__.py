"""MongoDB: the results' collections, and writes that can come twice, late or from a zombie and do no harm.

Start with guard.py, the condition under which a document may be replaced; then bulk.py and sink.py, writing many of
them, report.py, what became of them, and changed.py, what subscribers are told of that; partials.py, what was moved out
of memory; runs.py, which run counts, and workers.py, who is at work; alerts.py, the collections of alerts; schema.py
with flat_views.py, what the database must look like, sharding.py, how a sharded cluster spreads it, and users.py, who
may do what; query.py and read.py, how results are asked for, documents.py, what is got, and written.py, how that is
written. Only client.py names the driver motor; failures.py and refusal.py say what its errors mean.
"""
