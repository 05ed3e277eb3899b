"""The Python API: views in, results out, for programs that use asyncio.

view_event.py is one valid view, without Kafka or MongoDB; producer.py sends views to the topic, by write_behind.py;
results.py reads the results. The three classes can be imported from `movie_stream`; docs/reference/python.md shows
their use.
"""
