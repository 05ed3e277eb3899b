"""The consumer group: members.py, group_state.py and consumer_group.py (its members and state), membership.py (our own
share), leaving.py (leaving without delay).
"""
