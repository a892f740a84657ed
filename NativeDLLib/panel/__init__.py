"""What the Slicer panel shows and keeps, in plain Python, without a library to load."""
