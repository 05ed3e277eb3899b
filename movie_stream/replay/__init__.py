"""Views that come from files: reading them, making some up, and sending them to the topic when their time has come.

In the order in which a view passes them:

files/      a file, packed or not, whatever it is written in, becomes rows of text
formats/    rows of known datasets become rows of views
records/    rows become records of the topic, or reasons why not
synthetic/  made-up views, of made-up films or of the films in a catalogue
source.py   finds out which of these a file is
order/      which views are sent, in which order, moved to which time
resume/     resuming a replay that was interrupted
newest_views.py, lateness.py  which views workers would refuse as late, found before any is sent
send.py     puts it all together; send_made_up.py does so without a file, rehearse.py without a broker
sample.py   the views of `data/movies.csv`
"""
