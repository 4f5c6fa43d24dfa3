"""What Beautify Prompt writes and keeps: frozen texts, dynamic prompts, what the page is told."""

from __future__ import annotations

from tests.comfy_nodes import fakehost

host, pack, beautify = fakehost.host, fakehost.pack, fakehost.beautify  # fixtures


def test_a_frozen_text_is_given_as_it_is(beautify):
    def refuse(*_):
        raise AssertionError("a frozen text needs no model")

    beautify.rewriter.ready = refuse
    saved = {}
    kept = "a cat, soft light <lora:x:1>"
    out = beautify("a cat", saved, frozen=True, written=kept, seed=99)
    assert out.args == (kept, [kept], [0.0], "frozen")
    (shown,) = out.ui["beautifulprompt"]
    assert (shown["before"], shown["after"], shown["frozen"]) == ("a cat", kept, True)
    (entry,) = saved["beautifulprompt"]["5"]
    assert (entry["text"], entry["prompt"], entry["frozen"]) == ("a cat", kept, True)


def test_what_is_not_frozen_or_not_there_is_written_anew(beautify):
    anew = beautify().args
    assert beautify(written="old").args == anew
    empty = beautify(frozen=True, written=" \n").args
    assert empty[:3] == anew[:3] and "nothing was written yet" in empty[3]


def test_the_page_is_told_the_seed_and_every_candidate(beautify):
    out = beautify(seed=11)
    (shown,) = out.ui["beautifulprompt"]
    assert shown["seed"] == 11 and "frozen" not in shown
    assert [found["text"] for found in shown["candidates"]] == out.args[1]
    assert all(found["score"] is None for found in shown["candidates"])  # no reward here


def test_a_prompt_that_is_left_alone_still_offers_its_candidates(pack, host):
    rewriter = fakehost.part("memory").starter()
    node = type("Clone", (pack.nodes["BeautifyPrompt"],), {})
    node.hidden = fakehost.SimpleNamespace(unique_id="5", prompt={}, extra_pnginfo=None)
    settings = {**fakehost.SETTINGS, "accept": "auto", "seed": 3}
    real = rewriter.ready(1, 1)
    rewriter.ready = lambda *_: lambda text, **k: real(text, **k, margin=99.0)
    out = node.execute("a cat", rewriter=rewriter, **settings)
    (shown,) = out.ui["beautifulprompt"]
    assert out.args[0] == "a cat" == shown["after"] and shown["note"]
    assert len(shown["candidates"]) == 3
    assert [round(found["score"], 6) for found in shown["candidates"]] == [
        round(score, 6) for score in out.args[2]
    ]


def test_choices_and_comments_are_resolved_by_the_seed(beautify):
    asked = "a {red|green|blue} cat // big\n<lora:moody:0.8>"
    chosen = set()
    for seed in range(8):
        saved = {}
        best, texts, _, report = beautify(asked, saved, seed=seed).args
        assert not set("{|}") & set(best) and "//" not in best and "<lora:moody:0.8>" in best
        colours = {
            colour for text in texts for colour in ("red", "green", "blue") if colour in text
        }
        assert len(colours) == 1  # all versions are of one prompt
        chosen |= colours
        assert all(text in report for text in texts)
        (entry,) = saved["beautifulprompt"]["5"]
        assert entry["text"] == asked and entry["prompt"] == best
    assert len(chosen) > 1


def test_choices_pass_when_the_switch_is_off(beautify):
    asked = "a {red|blue} cat"
    assert beautify(asked, dynamic_prompts=False).args[0].startswith(asked)
    kept = beautify(asked, dynamic_prompts=False, frozen=True, written=asked).args[0]
    assert kept == asked


def test_choices_in_a_frozen_text_are_resolved_too(beautify):
    asked = {"frozen": True, "written": "a {red|blue|green|white} cat"}
    chosen = {beautify("a cat", seed=seed, **asked).args[0] for seed in range(8)}
    assert len(chosen) == 1
    assert chosen < {f"a {colour} cat" for colour in ("red", "blue", "green", "white")}


def test_the_display_marks_what_was_added_not_what_was_chosen(beautify):
    (shown,) = beautify("a {red|blue} cat").ui["beautifulprompt"]
    assert shown["before"] in ("a red cat", "a blue cat")
    assert shown["after"].startswith(shown["before"])


def test_only_nodes_that_are_run_alone_are_output_nodes(pack):
    schemas = {node.define_schema().node_id: node.define_schema() for node in pack.nodes.values()}
    outputs = {name for name, schema in schemas.items() if getattr(schema, "is_output_node", False)}
    assert outputs == {"BeautifulPromptBeautify", "BeautifulPromptScore"}
    assert schemas["BeautifulPromptScoreImage"].has_intermediate_output


def test_the_node_is_found_by_what_people_search_for(pack):
    schema = pack.nodes["BeautifyPrompt"].define_schema()
    words = " ".join([schema.display_name, *schema.search_aliases]).lower()
    for asked in ("improve prompt", "prompt enhancer", "expand", "magic prompt"):
        assert asked in words
