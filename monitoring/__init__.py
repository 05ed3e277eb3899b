"""Monitoring of movie-stream: prometheus.yml and rules/ are for Prometheus, tests/ for the rules, grafana/ for Grafana.

dashboard.py generates the dashboard from the panels declared in panels.py.
"""
