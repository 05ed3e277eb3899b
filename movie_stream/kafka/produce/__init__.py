"""Writing to a topic: topic_writer.py (in order, and only what is acknowledged counts), pace.py (when),
large_records.py and one_record.py (records that may be larger than their topic takes).
"""
