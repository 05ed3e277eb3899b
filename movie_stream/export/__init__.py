"""Results as files and tables for other programs. columns.py says what a row holds, and documents.py reads it.

target.py    what --to and --format mean
writers.py   a writer of a file in any format: text_file.py (CSV, lines of JSON), parquet_file.py, excel_file.py
new_file.py  a file that is there as a whole or not at all, and what killed exports have left
ranges.py, bookkeeping.py  a folder with a file a day or month: which of them are whole
arrow.py     rows as Arrow's batches, for Parquet and for the next
delta_table.py, delta_scope.py, delta_place.py  a Delta Lake table, which of its rows are meant, and where it may be
delta_mirror.py  what is read and merged into it, and anew where another was faster
"""
