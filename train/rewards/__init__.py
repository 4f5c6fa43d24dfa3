"""What learns people's scores of prompts, phrases and pictures."""
