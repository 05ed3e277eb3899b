"""Writing to a topic: topic_writer.py (in order, with acknowledgements), pace.py (the schedule), encoded_batch.py (a
record batch for aiokafka), values_batch.py (one of values alone), large_records.py and one_record.py (records that may
exceed the size limit of their topic).
"""
