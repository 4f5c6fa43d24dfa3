"""Networks and tokenizers: from a base, from random weights, written as model folders."""
