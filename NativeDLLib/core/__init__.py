"""Foundations of every room: errors, progress, files, JSON, locks, memory, arrays, places, versions, UIDs."""
