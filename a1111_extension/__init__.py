"""Beautiful Prompt in AUTOMATIC1111's WebUI and its forks: a skin over `bp_core`."""
