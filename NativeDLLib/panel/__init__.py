"""Content of the Slicer panel in plain Python, without a library to load."""
