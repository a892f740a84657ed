"""Foundations of every room: errors, progress, files, JSON, locks, memory, threads, places, versions, UIDs."""
