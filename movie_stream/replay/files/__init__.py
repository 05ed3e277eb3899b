"""Files of rows: source_file.py and temporary.py (a file, compressed or not), encodings.py (its encoding), table.py
(the interface of a file of rows), csv_header.py, csv_rows.py, csv_cells.py and csv_file.py (CSV), json_file.py and
parquet_file.py (others).
"""
