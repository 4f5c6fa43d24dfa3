"""Versions of the same prompts side by side: drawn, scored, and voted on without names."""
