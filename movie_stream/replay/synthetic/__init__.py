"""Made-up views: chance.py (reproducible chance), catalogue.py (the films), generate.py (who watches them when),
simulated.py (views of real films), faults.py and damage.py (what may be wrong with them), made_up.py (all of it as
asked for), parquet.py (written as Parquet).
"""
