"""What monitors movie-stream: prometheus.yml and rules/ are for Prometheus, tests/ for the rules, grafana/ for Grafana.

dashboard.py makes the dashboard, of what panels.py shows.
"""
