"""The pure core: what is computed, without Kafka, MongoDB or asyncio.

Start with results.py, the list of what is computed; then fields.py, what a field can be, and aggregators.py, what it
is made of; shape.py, what its documents look like. window.py and local_time.py (time), vocabulary.py, reader.py and
batch.py (records become a batch of views), groups.py (where the figures are held), users.py, user_days.py and
sessions.py (what is known of users), refused.py (records that did not count), quality.py and quality_figures.py (what
the records of an hour are worth); accumulator.py, one source partition's whole state; arrivals.py, when its views came;
partial.py, what it says to merger.py, which makes the documents.
"""
