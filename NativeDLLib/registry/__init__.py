"""The model registry: entries, their validation, choosing a model for a series, verified weights.

Adding a model is adding JSON (``Resources/registry.schema.json`` says how), never code.
"""

from NativeDLLib.registry.entry import Model, Segment
from NativeDLLib.registry.load import find_model, load_models, load_registry
from NativeDLLib.registry.parameters import effective
from NativeDLLib.registry.select import Candidate, rank, select

__all__ = ["Candidate", "Model", "Segment", "effective", "find_model", "load_models", "load_registry", "rank", "select"]
