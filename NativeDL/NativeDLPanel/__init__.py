"""The panel of NativeDL, one file for each thing that it does. Everything that computes runs in a worker process."""
