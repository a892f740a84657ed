"""What every room stands on: errors, events, files, locks, threads."""
