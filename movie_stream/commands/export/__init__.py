"""`movie-stream export`: command.py writes each result by one_file.py, by_range.py or delta.py; progress.py shows the
progress.
"""
