"""Views that come from files: reading them, making some up, and sending them to the topic when their time has come.

Reading order: opened.py (a file, packed or not), csv_rows.py (lines and quotes), csv_header.py (which column is which),
csv_cells.py (text becomes numbers), csv_file.py (an open CSV), formats/ (rows of others become rows of views),
csv_records.py (rows become records), csv_parts.py (the same, a column at a time), views.py and csv_views.py (a file of
them), generate.py (made-up views), catalogue.py (their films), simulated.py (views of the films of others), source.py
(which of all that);
time_order.py and sorted_runs.py (the order of time), plan.py and time_range.py (what is sent when), survey.py (a first
look), pace.py and topic_writer.py (how fast and where to), send.py (all of it together: `replay`), rehearse.py (the
same without a broker);
bookmark.py, arrivals.py and resume.py (going on where a replay was cut off);
faults.py and damage.py (what may be wrong with made-up views), made_up.py and send_made_up.py (writing and sending
them).
"""
