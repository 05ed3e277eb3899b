"""What is read: records and files.

- odd_records.py: good views in several layouts, and what only looks like such
- generated_csv.py: made-up views as the text of a CSV
"""
