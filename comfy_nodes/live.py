"""What a node shows while the model writes: progress, the text so far, and an ear for Cancel."""

from __future__ import annotations

import html
import time
from collections.abc import Callable

# Seconds between two texts: more often than the eye can follow only loads the connection.
_TEXT_EVERY = 0.1


class Live:
    """Called after each decoded token, as `Rewriter`'s `on_progress`.

    Args:
        node_id: the node that shows it.
        preview: turns the text that the model has written so far into what is shown.
    """

    def __init__(self, node_id: str, preview: Callable[[str], str]) -> None:
        from comfy.utils import ProgressBar

        self.node_id, self.preview = node_id, preview
        self.bar = ProgressBar(1)
        self.shown = 0.0

    def __call__(self, progress) -> None:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        self.bar.update_absolute(progress.step, progress.total)
        if time.monotonic() - self.shown >= _TEXT_EVERY:
            self.show(self.preview(progress.texts()[0]))

    def finish(self, text: str) -> None:
        self.bar.update_absolute(self.bar.total)
        self.show(text)

    def show(self, text: str) -> None:
        """Put text into the node, for the client whose graph this is."""
        from server import PromptServer

        self.shown = time.monotonic()
        server = PromptServer.instance
        # Without a client the text would go to everyone's node of this number.
        if server.client_id is not None and self.node_id is not None:
            # The page reads it as HTML, in which <lora:…> would vanish.
            text = html.escape(text, quote=False)
            server.send_progress_text(text, self.node_id, server.client_id)
