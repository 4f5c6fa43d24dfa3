"""What ranks rewrites and pictures."""
