"""Tools: the algorithms that take an image, and the interface that all of them have."""
