"""What the demonstration needs: a phantom with its CT series, and the demonstration itself."""
