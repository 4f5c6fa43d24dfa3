"""Other sources of drafts than our own decoder: any language model that answers a request.

What a writer answers is held to the rules of our own model's drafts: see `rewriter`.
"""
