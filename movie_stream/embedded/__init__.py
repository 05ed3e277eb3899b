"""An embedded Kafka-compatible broker and mongod, as child processes that end with their parent.

services.py starts broker.py and mongod.py together: binaries.py finds the programs, launch.py starts them and waits
until they serve, process.py controls them, and guard.py ends them when the parent is gone.
"""
