"""MongoDB: the collections of results, and idempotent, fenced upserts: duplicate, late or zombie writes do no harm.

Start with guard.py, the condition for replacing a document; then bulk.py and sink.py (bulk writes), report.py (their
outcome) and changed.py (notifications of subscribers). partials.py stores figures evicted from memory; runs.py stores
the current run, workers.py the heartbeats of workers, alerts.py defines the collections of alerts. schema.py with
flat_views.py defines collections, indexes and views, sharding.py their shard keys, users.py the accounts and roles.
query.py and read.py query results, documents.py types their documents, written.py serializes them. Only client.py
imports the driver motor; failures.py and refusal.py translate its errors.
"""
