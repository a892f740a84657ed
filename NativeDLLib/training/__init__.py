"""The training of the bundled demonstration models."""
