"""The few errors that Beautiful Prompt raises; every message is one line and names the remedy."""


class BeautifulPromptError(Exception):
    """Base of all errors raised on purpose; skins show its message as it is."""


class ModelError(BeautifulPromptError):
    """A model folder or file is missing, truncated, foreign or not of the kind asked for."""


class InputError(BeautifulPromptError):
    """The caller's input or settings cannot be used: names the value and what is allowed."""


class Cancelled(BeautifulPromptError):
    """The user stopped the decoding; nothing was changed."""
