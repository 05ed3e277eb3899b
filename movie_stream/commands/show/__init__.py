"""`movie-stream show`: command.py gets an answer (answer.py) from results.py or workers.py; table.py, text.py and
watch.py print it.
"""
