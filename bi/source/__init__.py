"""How the files in bi/ are made. Start with model.py, the tables and what follows from them; power_query.py is how they
are loaded, measures.py what is computed of them, tmdl.py and report.py the project that Power BI Desktop opens, and
compass.py the queries for MongoDB Compass, which saved.py writes as Compass has them.
"""
