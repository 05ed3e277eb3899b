"""Alerts on the content: what the results say, by rules of the user's own.

Pure: rules.py is what a rule says, series.py the figures that it looks at, conditions.py whether it holds of them, and
evaluation.py the alerts that follow. rule_file.py reads the rules, with keys.py, receivers.py and lines.py, which knows
where in the file they stand.
"""
