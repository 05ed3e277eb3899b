"""What installs movie-stream elsewhere: `chart.py` makes the parts of `helm/` that follow from the code."""
