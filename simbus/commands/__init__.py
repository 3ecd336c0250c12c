"""The commands of the command line, a file for each or for a few that are alike.

They read, call and print; every number and every sentence about a result comes from ``simulation`` and ``analysis``, and
what is served from ``serve``. Each command imports what it needs when it runs: click is enough for ``simbus serve``.
Results go to the standard output, progress and complaints to the standard error, a complaint in one line.
"""
