"""Made-up views: chance.py (reproducible random numbers), catalogue.py (the films), generate.py (who watches them
when), simulated.py (views of real films), faults.py and damage.py (late and damaged views), synthetic_views.py (all of
it by the user's options), parquet.py (written as Parquet).
"""
