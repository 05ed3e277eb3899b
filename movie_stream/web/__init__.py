"""The web server: the results over HTTP for programs, and the page that shows them; it only reads.

Start with server.py, which puts everything together, and http_server.py, the HTTP server below it. Every request passes
access.py, and session.py says who may come in. parameters.py and ranges.py read what a request asks, problems.py is
what is answered where that cannot be, asking.py asks MongoDB within bounds, and rendering.py writes the answer.

The results: resources.py is the one resource of all of RESULTS, with cursor.py for its pages and models.py for its
types; alerts.py is that of the alerts; index.py and openapi.py describe it.

The same as an OData feed, for BI tools: odata_feed.py, and odata_answers.py for the form of its answers; what is asked
there is read in the package movie_stream.odata.

The dashboard: series.py, summary.py and panels.py, whose models are in models_of_panels.py, ask what dashboard.py
holds: rollup.py puts any range together of figures.py, with hours.py, which keeps hours; quality.py adds up and judges
the quality of the data; stored.py has the names of what they ask for. fleet.py and pulse.py tell what the workers say
of themselves. health.py says whether all of it is there, telemetry.py tells Prometheus, also of requests.py, which
counts requests.

What changes, all readers learn from one feed: coalesced.py is what is known of it and what a reader is told next,
sources.py where it comes from, feed.py brings both together, and changes.py sends it.

The page lies in the folder static, which static_files.py serves.
"""
