"""Input: records and files.

- odd_records.py: good views in several layouts, and records that only look like such
- generated_csv.py: made-up views as the text of a CSV
"""
