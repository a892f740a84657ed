"""Segmenting one series: from a request to the files of its result."""
