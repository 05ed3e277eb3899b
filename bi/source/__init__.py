"""Generators of the files in bi/. Start with model.py, the tables and their relationships; power_query.py loads them,
measures.py computes from them, tmdl.py and report.py write the project for Power BI Desktop, and compass.py has the
queries for MongoDB Compass, which saved.py writes in Compass's formats.
"""
