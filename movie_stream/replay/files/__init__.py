"""Files of rows: opened.py and temporary.py (a file, packed or not), encodings.py (its text), table.py (what a file of
rows is), csv_header.py, csv_rows.py, csv_cells.py and csv_file.py (CSV), json_file.py and parquet_file.py (others).
"""
