"""What Power BI and MongoDB Compass open, and how it is made: generate.py writes it from RESULTS."""
