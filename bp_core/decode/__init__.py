"""Tokens only: networks, and the loop that draws from them."""
