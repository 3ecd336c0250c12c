"""Helpers for test suites: the pytest plugin, with its fixtures and its section in the report of a failure.

Nothing here may import a heavy library: the plugin is loaded by every run of pytest in an
environment that has simbus, whether it uses simbus or not.
"""
