"""The Python API for programs that use asyncio: produces views and reads results.

view_event.py is one valid view, without Kafka or MongoDB; producer.py sends views to the topic, through
write_behind.py; results.py reads the results. The three classes can be imported from `movie_stream`;
docs/reference/python.md shows their use.
"""
