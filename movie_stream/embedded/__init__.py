"""An embedded Kafka-compatible broker and mongod, as child processes that end with their parent.

services.py starts broker.py and mongod.py side by side: binaries.py finds the programs, launch.py waits until they
serve, process.py holds them, and guard.py ends them when the parent is gone.
"""
