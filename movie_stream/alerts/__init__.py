"""Alerts on the results, by rules of the user, and on data quality, by expectations of the user.

Pure: rules.py defines rules, series.py their figures, conditions.py tests a rule's condition, evaluation.py derives the
alerts, and wording.py their documents and texts. frontier.py computes the event time up to which results are complete,
blockage.py the causes that delay it. rule_file.py reads the rules, with kinds.py, keys.py and receivers.py;
toml_file.py parses the file, lines.py locates its keys. expectations.py judges the data's quality, and quality.py reads
it for rules.

With MongoDB: completeness.py is the publishers' report of progress, figures.py reads the figures of rules, store.py
stores the alerts and the evaluator's lease, and evaluator.py runs the evaluation, in portions sized by pace.py.
outbox.py is the queue of messages to receivers, which courier.py delivers by the means of sending.py.
"""
