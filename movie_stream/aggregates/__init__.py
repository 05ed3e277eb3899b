"""The pure core: what is computed, without Kafka, MongoDB or asyncio.

Start with `results.py`, the list of what is computed; then `fields.py`, what a field can be, and `accumulators.py`,
what it is made of; `groups.py`, where the figures are held; `users.py`, `user_days.py` and `sessions.py`, what is known
of users; `accumulator.py`, one source partition's whole state; `merger.py`, the partials of all source partitions and
the documents made of them. All of it stands in arrays: `columns.py`, `slots.py`, `packed_names.py`, `sketch.py`.
"""
