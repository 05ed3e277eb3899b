"""`movie-stream demo`: command.py starts everything, children.py the worker and the page, which browser.py opens;
watch.py looks up the results, state.py keeps them, live.py shows them, and together.py ends all parts when one ends.
"""
