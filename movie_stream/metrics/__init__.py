"""The metrics that a worker and the server export to Prometheus, and the health of a worker.

catalogue.py declares every metric once: docs/reference/metrics.md, the collector and the tests follow from it.
values.py holds the values of one scrape, endpoint.py serves them over HTTP, and health.py the liveness and readiness
checks of a worker. metered.py measures the time that a coroutine takes of the event loop.
"""
