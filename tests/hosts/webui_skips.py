"""What a WebUI's page does not have: the browser tests that are skipped there, and why."""

import pytest

from tests.hosts.webui import MODERN, SDNEXT

covered = pytest.mark.skipif(MODERN, reason="ModernUI lays its networks over a narrow page")
sends = pytest.mark.skipif(SDNEXT, reason="SD.Next sends what the box holds, by buttons of its own")
translates = pytest.mark.skipif(
    SDNEXT, reason="SD.Next has languages of its own, no localizations/"
)
LOOKS = ["light", pytest.param("narrow", marks=covered), pytest.param("chinese", marks=translates)]
