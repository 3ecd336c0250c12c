"""How often a scenario runs: one replication put together, and many until it is enough, in as many processes as help.

How a party behaves is in ``replication``, what the numbers mean in the analysis.
"""
