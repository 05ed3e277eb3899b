"""What makes the pages and tables of docs/ that follow from the code; ../generate.py writes them.

markdown.py has the tables, commands.py and settings.py the command line, events.py what goes in, collections.py and
document_types.py what comes out, http.py the ways to ask for it, errors.py what can go wrong, telemetry.py metrics and
alerts, kafka.py what Kafka has to allow, bi.py what BI tools get, and figures.py what the
READMEs quote of what was measured.
"""
