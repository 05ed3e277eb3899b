"""`movie-stream generate`: command.py writes with file.py or with to_topic.py; progress.py shows the progress."""
