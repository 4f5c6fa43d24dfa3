"""What runs packed networks on a CPU."""
