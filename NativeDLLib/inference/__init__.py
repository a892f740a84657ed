"""From an image to a label map: preprocessing, sliding window, runtimes, devices, postprocessing.

Runtimes (torch, onnxruntime, nnunetv2) are imported when a model asks for them, never before.
"""
