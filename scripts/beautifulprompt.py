"""Entry for AUTOMATIC1111's WebUI and its forks; everything is in `a1111_extension`."""

from a1111_extension.script import BeautifulPromptScript, register

__all__ = ["BeautifulPromptScript"]

register(__file__)
