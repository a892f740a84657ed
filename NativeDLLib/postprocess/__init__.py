"""The postprocessing steps that a registry entry lists."""
