"""The Python API: views in, results out, for programs that use asyncio.

view_event.py is one view that keeps the contract, without Kafka or MongoDB; producer.py sends views to the topic, and
write_behind.py is how it writes; results.py reads what became of them. All three are to be had from `movie_stream`
itself; docs/api.md shows how they are used.
"""
