"""Replaying files: reading or generating views, and producing them to the topic on a schedule.

In the order in which a view passes through them:

files/      a file, compressed or not, in any supported file format, becomes rows of text
formats/    rows of known datasets become rows of views
records/    rows become records of the topic, or reasons why not
synthetic/  made-up views, of made-up films or of the films in a catalogue
source.py   detects which of these a file is
order/      which views are sent, in which order, shifted to which time
resume/     resuming a replay that was interrupted
newest_views.py, lateness.py  find the views that workers would refuse as late, before any is sent
read_ahead.py  makes the next chunk of views while the last one is sent
send.py     puts it all together; send_synthetic.py does so without a file, rehearse.py without a broker
sample.py   the views of `data/movies.csv`
"""
