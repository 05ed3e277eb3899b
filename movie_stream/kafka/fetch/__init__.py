"""From the broker to the agents: frames.py (large responses received in place), waiting.py (fetched batches that
wait to be unpacked), transport.py (Faust's transport, with whole chunks instead of records).
"""
