"""A synthetic torso, and its CT series."""
