"""How one replication runs: the calendar round a broker, and the modelled parties on it.

They are told what to be by ``model`` and tell an observer what they do. What is measured, what was forecast and how many
replications there are is not known here.
"""
