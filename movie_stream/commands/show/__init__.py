"""`movie-stream show`: command.py gets an answer.py from results.py or workers.py, which table.py, text.py and watch.py
print.
"""
