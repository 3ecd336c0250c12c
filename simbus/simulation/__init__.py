"""Modelled load on a real model of a broker: what it says, what it promises, how it runs, and how often.

- ``model``: what a scenario says, in parts. It knows of none of the others.
- ``forecast``: what can be told of one before it runs.
- ``replication``: the modelled parties that act in one run. It does not know ``forecast``, nor the analysis.
- ``scenario`` and ``file``: the parts put together; they stand above ``forecast``, because a scenario can be asked for its check.
- ``experiment``: one replication put together, and many of them.

Nothing is imported here, so that a door that needs only one of these rooms pays for that one.
No dialect of broker is named in this package.
"""
