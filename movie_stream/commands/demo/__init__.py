"""`movie-stream demo`: command.py starts everything, children.py the worker and the page, which browser.py opens;
watch.py looks up the results, and live.py shows them.
"""
