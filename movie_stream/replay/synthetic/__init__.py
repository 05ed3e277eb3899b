"""Made-up views: chance.py (always the same), catalogue.py (the films), generate.py (who watches them when),
simulated.py (views of the films of others), faults.py and damage.py (what may be wrong with them), made_up.py (all
of it as it is asked for), parquet.py (written as Parquet).
"""
