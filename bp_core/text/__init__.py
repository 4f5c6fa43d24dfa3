"""Strings only: a prompt's prose and syntax, apart and together, and what a rewrite keeps of it."""
