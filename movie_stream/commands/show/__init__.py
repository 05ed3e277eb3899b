"""`movie-stream show`: command.py asks results.py or workers.py for an answer.py, which table.py, text.py and watch.py
print.
"""
