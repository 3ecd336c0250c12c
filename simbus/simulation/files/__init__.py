"""Files as text: where a word of TOML stands, what is included, and how a scenario is written.

Nothing here knows what the words mean; who does is ``scenario``, and ``file`` reads with both.
"""
