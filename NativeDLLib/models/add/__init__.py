"""A registry entry made from a network's files.

The files fill in the fields that they tell, the user gives the others: `read_source` gives a `Draft`, `questions` its
missing fields, and `install` puts weights and entry in place once the network has been loaded and run.
"""
