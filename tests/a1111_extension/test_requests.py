"""The HTTP routes take what is documented, within limits, and answer errors as JSON."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a1111_extension.arguments import Arguments
from a1111_extension.requests import MOST_PROMPTS, read_beautify, read_score
from bp_core.errors import InputError

DEFAULTS = Arguments(when="Off", candidates=6)


def test_one_prompt():
    call = read_beautify({"prompt": "a cat", "seed": 7, "n": 2, "keep": ["cat"]}, DEFAULTS)
    assert (call.prompts, call.seeds, call.keep, call.is_list) == (["a cat"], [7], ["cat"], False)
    assert (call.arguments.when, call.arguments.candidates) == ("Always", 2)
    named = read_beautify({"prompt": "a", "preset": "ink", "style": "blue"}, DEFAULTS).arguments
    assert named.lead == "ink drawing, fine lines, blue"
    assert read_beautify({"prompt": "a", "dialect": "Prose"}, DEFAULTS).arguments.dialect == "prose"


def test_several_prompts_and_defaults():
    call = read_beautify({"prompts": ["a", "b"], "auto": True}, DEFAULTS)
    assert call.is_list and len(call.seeds) == 2 and call.seeds[0] >= 0
    assert (call.arguments.when, call.arguments.candidates) == ("Auto", 6)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": "a", "prompts": ["a"]},
        {"prompt": 5},
        {"prompts": []},
        {"prompts": ["a"] * (MOST_PROMPTS + 1)},
        {"prompt": "a" * 9000},
        {"prompt": "a", "n": 0},
        {"prompt": "a", "dialect": "poems"},
        {"prompt": "a", "dialect": 3},
        {"prompt": "a", "seed": True},
        {"prompt": "a", "seed": 2**70},
        {"prompt": "a", "seed": -2},
        {"prompt": "a", "auto": "yes"},
        {"prompt": "a", "style": "x" * 9000},
        {"prompt": "a", "keep": "cat"},
        {"prompt": "a", "block": ["x"] * 1000},
        {"prompt": "a", "when": "Always"},
    ],
)
def test_bad_fields(fields):
    with pytest.raises(InputError):
        read_beautify(fields, DEFAULTS)


def test_scores():
    assert read_score({"texts": ["a", "b"]}) == (["a", "b"], ["a", "b"])
    assert read_score({"texts": ["a"], "raw": ["r"]}) == (["a"], ["r"])
    for fields in ({}, {"texts": "a"}, {"texts": ["a"], "raw": []}, {"texts": [], "n": 1}):
        with pytest.raises(InputError):
            read_score(fields)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["prompt", "n", "seed", "mode", "keep", "chunks"]), _json))
def test_any_json_object_is_read_or_refused(fields):
    with suppress(InputError):
        read_beautify(fields, DEFAULTS)


def test_routes(app):
    testclient = pytest.importorskip("fastapi.testclient")
    from fastapi import FastAPI

    from a1111_extension.api import PREFIX, add_routes

    server = FastAPI()
    add_routes(server, app, "artist:secret,other:a:b")
    client = testclient.TestClient(server)
    login = {"auth": ("other", "a:b")}
    body = client.post(f"{PREFIX}/beautify", json={"prompt": "a cat", "seed": 7}, **login).json()
    assert body["text"] == "a cat, tail 7 0" and len(body["candidates"]) == 4
    assert body["candidates"][0]["added"] == ["tail 7 0"]
    assert body["dialect"] == "tags"
    scores = client.post(f"{PREFIX}/score", json={"texts": ["a"]}, **login).json()
    assert scores == {"scores": [{"total": 1.0, "aesthetic": 2.0}]}
    assert client.post(f"{PREFIX}/beautify", json={"prompt": "a"}).status_code == 401
    wrong = client.post(f"{PREFIX}/beautify", json={"prompt": "a"}, auth=("other", "a"))
    assert wrong.status_code == 401
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 300_000, "application/json", 413),
        (b"{}", "application/json", 422),
    ):
        answer = client.post(
            f"{PREFIX}/beautify", content=body, headers={"content-type": kind}, **login
        )
        assert answer.status_code == status and answer.json()["error"]
