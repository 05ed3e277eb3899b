"""Views that come from files: reading a CSV, making one up, and sending it to the topic at a given rate.

Reading order: csv_rows.py (lines and quotes), csv_header.py (which column is which), csv_cells.py (text
becomes numbers), csv_records.py (rows become records), csv_parts.py (the same, a column at a time), csv_views.py
(a file of them), time_order.py and sorted_runs.py (the order of time), pace.py and topic_writer.py (when and where
to), send.py (all of it together: `replay`), bookmark.py, arrivals.py and resume.py (going on where a replay was cut
off), generate.py (made-up views), catalogue.py (their films), faults.py and damage.py (what may be wrong with them),
send_made_up.py (to the topic).
"""
