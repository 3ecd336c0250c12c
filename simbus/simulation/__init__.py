"""Modelled load on a real model of a broker: workloads, distributions, failures, scenarios, experiments.

Nothing is imported here, so that a door that needs only one of these rooms pays for that one.
No dialect of broker is named in this package.
"""
