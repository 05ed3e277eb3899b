"""The benchmark: movie-stream and other stream processors, on one machine and topic, in turn. `make bench` runs it.

Read the modules in this order:

1.  goals.py     the performance goals, in one table
2.  stream.py    the views of most parts, and writing views to a topic; movielens.py: sparse ones
3.  services.py  the broker and the MongoDB
4.  meter.py     wall time, CPU time and memory of a process and its children; beside.py: work during a measurement
5.  ours.py      one measured run of `movie-stream worker`, with any number of workers
6.  peers/       the others, each written as its own documentation recommends
7.  worker.py    a part of the benchmark, like compare.py, sparse.py (with bulk_write.py), default.py, rebalance.py
                 (with positions.py), latency.py, produce.py, scale.py, profile.py (with stages.py) and web.py (with
                 filled.py and asked.py)
8.  results.py   the results, a line each in `.bench/results.jsonl`
9.  report.py    generates docs/explanation/performance.md and its plot, with merged.py and scaling.py; replacing.py
                 replaces files atomically; plot.py draws; installs.py: what only peers and the plot need
10. cli.py       the command line; ending.py: how it ends after an error
"""
