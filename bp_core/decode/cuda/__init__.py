"""What runs networks on an NVIDIA GPU; imported only where one is used."""
