"""The pure core: the aggregation, without Kafka, MongoDB or asyncio.

Start with results.py, the list of results; then fields.py (the kinds of fields), aggregators.py (the columns that they
are computed from) and shape.py (the layout of the documents). window.py and local_time.py handle time; vocabulary.py,
reader.py and batch.py decode records into a batch of views; groups.py holds the figures; users.py, user_days.py and
sessions.py hold the state of users; refused.py tracks the records that did not count; quality.py and quality_figures.py
measure the data quality of each hour. accumulator.py is the state of one source partition, and arrivals.py samples when
its views arrived. partial.py defines the messages that it sends to merger.py, which makes the documents.
document_keys.py identifies these, and eviction.py packs what leaves merger.py's memory.
"""
