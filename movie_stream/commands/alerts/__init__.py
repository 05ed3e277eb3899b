"""`movie-stream alerts`: check.py validates the file of rules, try_rule.py shows the alerts that a rule would give,
list.py lists the alerts; in_words.py renders rules as text.
"""
