"""`movie-stream doctor`: command.py checks everything that a worker needs, with installation.py, clocks.py and
workers.py for what their names say, stores.py for how safely brokers and shards keep what is written, reader.py for the
web server's user, metrics.py for METRICS_PORT, alerts.py for ALERTS_FILE; or with feed.py the OData feed, which
feed_client.py asks. findings.py is the result.
"""
