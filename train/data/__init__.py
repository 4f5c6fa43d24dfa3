"""Pairs of prompts, the pools that they are cut from, and what keeps both clean."""
