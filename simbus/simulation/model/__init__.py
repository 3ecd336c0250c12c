"""What a scenario says, read and checked: descriptions, laws to draw from, and the named streams that they are drawn from.

Nothing here has a calendar, drives a broker or measures; what is described acts in ``replication``.
"""
