"""Files for Power BI and MongoDB Compass; generate.py generates them from RESULTS."""
