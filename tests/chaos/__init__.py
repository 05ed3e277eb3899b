"""What the fault suite is made of; the scenarios themselves are the tests/chaos/test_*.py.

`stream.py` is the seeded stream, `stage.py` a broker, a mongod and a verdict, `fleet.py` the workers, `crashing.py` a
worker that ends at a step of a flush, `record.py` what is written down.
"""
