"""`movie-stream alerts`: check.py reads the rules' file; in_words.py says what a rule says."""
