"""The consumer group: members.py, group_state.py and consumer_group.py (its members and state), assignor.py (how its
partitions are shared out), membership.py (our own share), leaving.py (leaving without delay).
"""
