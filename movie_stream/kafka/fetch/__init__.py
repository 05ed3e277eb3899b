"""From the broker to the agents: frames.py (large responses received in place), transport.py (Faust's transport, with
whole chunks instead of records).
"""
