"""From an image to a label map: preprocessing, sliding window, runtimes, devices, postprocessing."""
