"""Which views are sent when: plan.py (the user's options), time_order.py and survey.py (the first pass over the file),
sorted_runs.py (sorting more than fits in memory).
"""
