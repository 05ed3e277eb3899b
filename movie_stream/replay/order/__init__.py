"""Which views are sent when: plan.py (what is asked for), time_order.py and survey.py (a first look at the file),
sorted_runs.py (sorting more than fits in memory).
"""
