"""From an image to labels: preprocessing, sliding window, devices, and runtimes, imported when a model needs them."""
