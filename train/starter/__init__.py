"""What only rebuilds the bundled models: `python -m train.starter.x` from the root."""
