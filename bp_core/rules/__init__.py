"""Strings only: which phrases a model may add to a prompt."""
