"""`movie-stream doctor`: command.py runs all checks that a worker needs: installation.py, clocks.py, workers.py,
stores.py (replication and shard keys), reader.py (the read-only MongoDB users), metrics.py (METRICS_PORT) and alerts.py
(ALERTS_FILE). feed.py checks the OData feed instead, through feed_client.py. findings.py is the result.
"""
