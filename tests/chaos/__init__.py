"""The parts of the fault suite; the scenarios themselves are the tests/chaos/test_*.py.

`stream.py` is the seeded stream, `stage.py` a broker, a mongod and a verdict, `fleet.py` the workers, `crashing.py` a
worker that ends at a step of a flush, `record.py` the measurements.
"""
