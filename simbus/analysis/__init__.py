"""From what happened in a simulation to what may be said about it.

Replications come in, estimates with confidence intervals, verdicts, plots, tables and the report
go out. Nothing here drives a broker, draws a random number or knows a dialect.
"""
