"""The benchmark: movie-stream beside other stream processors, on one machine, one topic, in turn. `make bench` runs it.

Where to start reading, in this order:

1.  goals.py     what is to be reached, in one table
2.  stream.py    the views that everybody counts, and how they get into a topic
3.  services.py  the broker and the MongoDB
4.  meter.py     wall time, CPU time and memory of a process and all that it starts; beside.py: work meanwhile
5.  ours.py      one measured run of `movie-stream worker`, however many workers
6.  peers/       the others: each is what its own documentation would have a user write
7.  worker.py    a part of the benchmark, like compare.py, latency.py, produce.py, scale.py, profile.py (with stages.py)
                 and web.py (with filled.py and asked.py)
8.  results.py   what was measured, a line each in `.bench/results.jsonl`
9.  report.py    docs/explanation/performance.md and its plot, made from these, and replaced as a whole by replacing.py
10. cli.py       the command line; ending.py: how it ends when something is wrong
"""
