"""The model registry: entries, their validation, choosing a model for a series, verified weights."""
