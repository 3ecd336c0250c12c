"""What can be told before anything runs: a distribution of measured times; a scenario's load, what to doubt, its closed forms.

Nothing here simulates: a broker is at most asked where a message would go. It looks at a scenario and changes nothing.
"""
