"""What NativeDL takes in time and memory, beside what others take for the same: `make bench`, `make bench-gpu`."""
