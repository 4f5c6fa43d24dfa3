"""download.py: what the page shows while the hub answers, and when it does not."""

from a1111_extension.download import download
from bp_core.errors import ModelError


def test_a_download_says_where_the_model_is(app, monkeypatch):
    def fetch(name, progress):
        progress("model.safetensors", 2**20, 2**21)
        return f"models/{name}"

    monkeypatch.setattr("bp_core.models.hub.download", fetch)
    first, *_, last = download(app, " someone/thing ")
    assert first == "Asking the hub for someone/thing …"
    assert last == "someone/thing is in models/someone/thing"


def test_a_download_that_fails_says_why(app, host, monkeypatch):
    def fetch(name, progress):
        raise ModelError(f"{name} could not be downloaded")

    monkeypatch.setattr("bp_core.models.hub.download", fetch)
    *_, last = download(app, "someone/thing")
    assert last == "someone/thing could not be downloaded"
    assert not host.reported
