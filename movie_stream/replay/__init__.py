"""Views that come from files: reading them, making some up, and sending them to the topic when their time has come.

In the order in which a view passes them:

files/      a file, packed or not, whatever it is written in, becomes rows of text
formats/    rows of others become rows of views
records/    rows become records of the topic, or reasons why not
synthetic/  made-up views, of made-up films or of a catalogue's
source.py   which of all that a file is
order/      which views are sent, in which order, moved to which time
resume/     going on where a replay was cut off
newest_views.py, lateness.py  what the topic would refuse as late, asked before anything is sent
send.py     all of it together; send_made_up.py the same without a file, rehearse.py without a broker
sample.py   the views of `data/movies.csv`
"""
