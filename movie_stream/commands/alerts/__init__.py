"""`movie-stream alerts`: check.py reads the rules' file, try_rule.py says what a rule would give, list.py shows the
alerts; in_words.py is what a rule says.
"""
