"""Exports results to files and tables for other programs. columns.py defines the rows, and documents.py reads them.

target.py    parses --to and --format
writers.py   writes a file in any format: text_file.py (CSV, JSON Lines), parquet_file.py, excel_file.py
new_file.py  writes a file atomically, and removes the temporary files of killed exports
ranges.py, bookkeeping.py  a folder with a file per day or month, and the record of the complete ones
arrow.py     rows as Arrow's record batches, for Parquet and Delta Lake
delta_table.py, delta_scope.py, delta_path.py  a Delta Lake table, ranges of its rows, and where it may be created
delta_mirror.py  reads rows and merges them into a Delta Lake table; retries after a conflicting commit
"""
