"""Deployment of movie-stream: `chart.py` generates the parts of `helm/` that follow from the code."""
