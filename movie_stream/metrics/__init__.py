"""What a worker and the server tell Prometheus.

catalogue.py declares every metric once: docs/reference/metrics.md, the collector and the tests follow from it.
values.py is what is told at one moment, endpoint.py serves that over HTTP, and beside it health.py says whether a
worker lives and is ready.
"""
