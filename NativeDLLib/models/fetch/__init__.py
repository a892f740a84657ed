"""Fetching a model's weights."""
