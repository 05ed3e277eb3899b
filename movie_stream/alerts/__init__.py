"""Alerts on the content: what the results say, by rules of the user's own; and what is expected of the data.

Pure: rules.py is what a rule says, series.py the figures that it looks at, conditions.py whether it holds of them,
evaluation.py the alerts that follow, wording.py how they are said, and frontier.py up to when results are complete,
holdup.py what keeps them from that. metered.py tells how much of the event loop all that takes.
rule_file.py reads the rules, with kinds.py, keys.py, receivers.py, toml_file.py for the file as such, and lines.py,
which knows where in it they stand; expectations.py is what the data's quality is judged by, and quality.py the way from
rules to it.

With MongoDB: completeness.py is what publishers leave, figures.py reads what rules look at, store.py keeps the alerts
and who evaluates, and evaluator.py brings all of it together; pace.py says how much at a time. outbox.py is the queue
of what receivers are told, which courier.py takes to them by the ways that sending.py knows.
"""
