"""From an image to labels: preprocessing, sliding window, runtimes, devices.

Runtimes (torch, onnxruntime, nnunetv2) are imported when a model asks for them, never before.
"""
