"""An artist at a real ComfyUI, in classic and Nodes 2.0 rendering. Needs COMFYUI_DIR, a Chromium.

COMFYUI_SHOTS names a folder for the screenshots that the documentation shows.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, PATIENCE, launched
from tests.conftest import SMALL_WRITER

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
PROMPT = "a lighthouse at dusk <lora:moody:0.8>"
BOX = ".beautifulprompt-box"

ADD = """([kind, values, place]) => {
  const node = LiteGraph.createNode(kind);
  node.pos = place;
  app.graph.add(node);
  for (const widget of node.widgets ?? []) {
    if (widget.name in values) widget.value = values[widget.name];
  }
  node.setSize(node.computeSize());
  node.setSize([Math.max(node.size[0], 440), node.size[1] + 40]);
  app.canvas.setDirty(true, true);
  return node.id;
}"""
MENU = """(id) => app.canvas.getNodeMenuOptions(app.graph.getNodeById(id))
  .filter((item) => /Beautify/.test(item?.content)).map((item) => item.content)"""
CHOOSE = """([id, content]) => app.canvas.getNodeMenuOptions(app.graph.getNodeById(id))
  .find((item) => item?.content === content).callback()"""
VALUE = "(id) => app.graph.getNodeById(id).widgets[0].value"
VALUES = """(id) => Object.fromEntries(app.graph.getNodeById(id).widgets.map(
  (widget) => [widget.name, widget.value]))"""
SET = """([id, name, value]) => {
  const widget = app.graph.getNodeById(id).widgets.find((widget) => widget.name === name);
  app.canvas.emitBeforeChange();
  widget.value = value;
  widget.callback?.(value);
  app.canvas.emitAfterChange();
}"""
QUEUED = "async (id) => (await app.graphToPrompt()).output[id]?.inputs"


@pytest.fixture(scope="module")
def browser(host):
    with launched() as chromium:
        chromium.url = host.url
        yield chromium


@pytest.fixture(params=["classic", "nodes2"], scope="module")
def page(request, browser):
    """The page with an empty graph, in one of the two renderings."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(PATIENCE)
    page.rendering = request.param
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.goto(browser.url)
    page.wait_for_function(
        "!!window.app?.graph && !!window.LiteGraph?.registered_node_types?.BeautifulPromptBeautify"
    )
    page.evaluate(
        "(on) => app.ui.settings.setSettingValueAsync('Comfy.VueNodes.Enabled', on)",
        request.param == "nodes2",
    )
    page.wait_for_timeout(1500)
    yield page
    page.close()


@pytest.fixture
def graph(page):
    """An empty graph of its own: a cleared one leaves its widgets' values to the next."""
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_timeout(500)
    page.evaluate("() => app.canvas.ds.reset()")
    return page


def shoot(page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("COMFYUI_SHOTS", tmp_path))
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / f"comfyui-{name}-{page.rendering}.png")


def test_the_node_shows_what_was_added(graph, tmp_path):
    graph.evaluate(ADD, ["BeautifulPromptBeautify", {"text": PROMPT, "seed": 11}, [420, 140]])
    graph.wait_for_selector(BOX)
    assert "Run the graph" in graph.inner_text(BOX)
    graph.evaluate("() => app.queuePrompt(0)")
    graph.wait_for_selector(f"{BOX} ins")
    text = graph.inner_text(BOX)
    assert text.startswith("a lighthouse at dusk") and "<lora:moody:0.8>" in text
    added = graph.inner_text(f"{BOX} ins >> nth=0")
    assert added and added not in PROMPT
    shoot(graph, "beautify", tmp_path)
    # The page's own display of the live text is gone, and nothing of ours is saved as a widget.
    saved = graph.evaluate("() => app.graph.serialize().nodes[0].widgets_values")
    names = graph.evaluate("() => app.graph._nodes[0].widgets.map((widget) => widget.name)")
    assert "$$node-text-preview" not in names
    assert len(saved) == len(names) - 1 and saved[0] == PROMPT
    assert graph.failures == []


def test_all_nodes_are_drawn(graph, tmp_path):
    places = {"Load": [90, 170], "EncoderWriter": [90, 450], "ServerWriter": [90, 610]}
    places |= {"Score": [560, 170], "ScoreImage": [1030, 170], "PickBest": [1030, 470]}
    graph.evaluate("() => { app.canvas.ds.scale = 0.8; }")
    for name, place in places.items():
        graph.evaluate(ADD, [f"BeautifulPrompt{name}", {}, place])
    shoot(graph, "nodes", tmp_path)
    titles = graph.evaluate("() => app.graph._nodes.map((node) => node.title)")
    assert titles == [
        "Load Beautiful Prompt", "Text Encoder as Writer", "Language Model Server as Writer",
        "Score Prompt", "Score Image", "Pick Best",
    ]  # fmt: skip
    assert graph.failures == []


def test_any_text_box_can_be_beautified_and_restored(graph, tmp_path):
    node = graph.evaluate(ADD, ["CLIPTextEncode", {"text": "a red fox in snow"}, [420, 160]])
    assert graph.evaluate(MENU, node) == ["Beautify this text"]
    graph.evaluate(CHOOSE, [node, "Beautify this text"])
    graph.wait_for_function(f"(id) => ({VALUE})(id) !== 'a red fox in snow'", arg=node)
    assert graph.evaluate(VALUE, node).startswith("a red fox in snow")
    restore = "Restore the text before Beautify"
    assert graph.evaluate(MENU, node) == ["Beautify this text", restore]
    graph.evaluate(CHOOSE, [node, restore])
    assert graph.evaluate(VALUE, node) == "a red fox in snow"
    assert graph.failures == []


def test_the_page_s_own_undo_takes_it_back(graph):
    node = graph.evaluate(ADD, ["CLIPTextEncode", {"text": "a red fox in snow"}, [420, 160]])
    graph.mouse.click(300, 700)  # the page notes what is there when a button goes up
    graph.evaluate(CHOOSE, [node, "Beautify this text"])
    graph.wait_for_function(f"(id) => ({VALUE})(id) !== 'a red fox in snow'", arg=node)
    changed = graph.evaluate(VALUE, node)
    first = "() => app.graph._nodes[0]?.widgets[0].value"
    for keys, text in (("Control+z", "a red fox in snow"), ("Control+y", changed)):
        graph.keyboard.press(keys)
        graph.wait_for_function(f"(text) => ({first})() === text", arg=text)
    assert graph.failures == []


def test_our_own_node_beautifies_its_text_with_its_own_settings(graph):
    settings = {"text": "a red fox", "style": "watercolor", "candidates": 1}
    node = graph.evaluate(ADD, ["BeautifulPromptBeautify", settings, [420, 140]])
    graph.evaluate(CHOOSE, [node, "Beautify this text"])
    graph.wait_for_function(f"(id) => ({VALUE})(id).startsWith('a red fox, watercolor')", arg=node)
    assert graph.failures == []


def test_a_text_that_is_left_alone_says_why(graph):
    graph.evaluate(ADD, ["BeautifulPromptBeautify", {"text": "<lora:moody:0.8>"}, [420, 140]])
    graph.wait_for_selector(BOX)
    graph.evaluate("() => app.queuePrompt(0)")
    graph.wait_for_selector(f"{BOX} em")
    assert graph.inner_text(f"{BOX} p").split("\n") == [
        "<lora:moody:0.8>", "the prompt has no words to write on from",
    ]  # fmt: skip
    assert graph.failures == []


def written(graph, **values) -> int:
    """A node of ours that has run; its id."""
    values = {"text": PROMPT, "seed": 11, "length": 20, **values}
    node = graph.evaluate(ADD, ["BeautifulPromptBeautify", values, [420, 140]])
    graph.wait_for_selector(BOX)
    graph.evaluate("() => app.queuePrompt(0)")
    graph.wait_for_selector(f"{BOX} ins")
    return node


def test_the_result_stays(graph):
    node = written(graph)
    text = graph.inner_text(f"{BOX} p")
    assert "seed 11" in graph.inner_text(BOX)

    def still(what: str) -> None:
        graph.wait_for_selector(f"{BOX} ins")
        assert graph.inner_text(f"{BOX} p") == text, what

    graph.mouse.click(300, 760)
    graph.evaluate(SET, [node, "style", "etching"])
    graph.keyboard.press("Control+z")
    graph.wait_for_function(
        "() => app.graph._nodes[0]?.widgets.find((w) => w.name === 'style').value === ''"
    )
    still("undo")
    graph.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    graph.wait_for_function(f"() => !document.querySelector('{BOX}')")
    graph.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    still("another tab and back")
    saved = graph.evaluate("() => app.graph.serialize()")
    graph.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    graph.wait_for_function(f"() => !document.querySelector('{BOX}')")
    graph.evaluate("(saved) => app.loadGraphData(saved)", saved)
    still("loading a saved workflow")
    graph.wait_for_timeout(2000)  # the page keeps a draft of the graph, a little later
    graph.reload()
    graph.wait_for_function("!!window.app?.graph?._nodes?.length")
    still("reload")
    assert graph.failures == []


def test_a_candidate_is_taken_by_a_click_and_stays(graph, tmp_path):
    node = written(graph, candidates=8, length=40)
    values = graph.evaluate(VALUES, node)
    assert values["control_after_generate"] == "randomize" and values["seed"] != 11
    assert graph.evaluate(QUEUED, node)["written"] == ""  # else a second run would not be cached
    rows = graph.query_selector_all(f"{BOX} .candidate")
    offered = "(id) => app.nodeOutputs[id].beautifulprompt[0].candidates.length"
    # Drafts that are alike count once.
    assert 1 < len(rows) == graph.evaluate(offered, str(node)) <= values["candidates"]
    assert all(row.inner_text()[0] in "+−" for row in rows)
    rows[-1].click()
    taken = graph.evaluate(VALUES, node)
    assert taken["frozen"] and taken["written"] != values["written"]
    assert (taken["seed"], taken["control_after_generate"]) == (11, "fixed")
    assert graph.query_selector_all(f"{BOX} .candidate.taken")
    shoot(graph, "frozen", tmp_path)
    # It can be edited, goes where the prompt goes, and outlives a run.
    graph.evaluate(SET, [node, "written", taken["written"] + ", by hand"])
    assert graph.inner_text(f"{BOX} p").endswith("by hand")
    graph.evaluate("() => app.queuePrompt(0)")
    graph.wait_for_function(
        "(id) => /by hand$/.test(app.nodeOutputs[id]?.beautifulprompt?.[0].after)", arg=str(node)
    )
    assert len(graph.query_selector_all(f"{BOX} .candidate")) == len(rows)
    saved = graph.evaluate("() => app.graph.serialize()")
    assert taken["written"] + ", by hand" in saved["nodes"][0]["widgets_values"]
    graph.evaluate(SET, [node, "frozen", False])
    assert graph.evaluate(VALUES, node)["control_after_generate"] == "randomize"
    assert graph.failures == []


def test_the_text_is_copied(graph):
    graph.context.grant_permissions(["clipboard-read", "clipboard-write"])
    node = written(graph)
    graph.click(f"{BOX} .facts button")
    graph.wait_for_function(
        f"() => document.querySelector('{BOX} .facts button').textContent === 'Copied'"
    )
    copied = graph.evaluate("() => navigator.clipboard.readText()")
    assert copied == graph.evaluate(VALUES, node)["written"]
    assert graph.failures == []


def test_a_bypassed_node_hands_its_text_on(graph):
    ours = graph.evaluate(ADD, ["BeautifulPromptBeautify", {"text": PROMPT}, [300, 140]])
    box = graph.evaluate(ADD, ["CLIPTextEncode", {"text": "from before"}, [860, 140]])
    graph.evaluate(
        """([from, to]) => {
          const [node, target] = [from, to].map((id) => app.graph.getNodeById(id));
          node.connect(0, target, target.inputs.findIndex((input) => input.name === "text"));
          node.mode = 4;
          for (const widget of node.widgets) widget.beforeQueued?.({});
        }""",
        [ours, box],
    )
    assert graph.evaluate(QUEUED, box)["text"] == PROMPT
    graph.evaluate("(id) => { app.graph.getNodeById(id).mode = 0; }", ours)
    assert graph.evaluate(QUEUED, box)["text"] == [str(ours), 0]
    assert graph.evaluate(VALUE, box) == "from before"
    assert graph.failures == []


def test_cancel_leaves_no_half_text(graph):
    values = {"text": PROMPT, "candidates": 64, "length": 512}
    node = graph.evaluate(ADD, ["BeautifulPromptBeautify", values, [420, 140]])
    # One that writes word by word; the bundled one is done before one could cancel.
    values = {"model": SMALL_WRITER.name, "reward": "none"}
    loader = graph.evaluate(ADD, ["BeautifulPromptLoad", values, [20, 140]])
    connect = """([from, to]) => { const node = app.graph.getNodeById(to);
      const slot = node.inputs.findIndex((input) => input.name === "rewriter");
      app.graph.getNodeById(from).connect(0, node, slot); }"""
    graph.evaluate(connect, [loader, node])
    graph.wait_for_selector(BOX)
    graph.evaluate("() => app.queuePrompt(0)")
    live = "app.graph._nodes[0].widgets.some((widget) => widget.name === '$$node-text-preview')"
    graph.wait_for_function(f"() => {live}")
    assert "Run the graph" not in graph.inner_text(BOX)
    graph.evaluate("() => app.api.interrupt(null)")
    graph.wait_for_function(f"() => !({live})")
    assert "Run the graph" in graph.inner_text(BOX)
    assert graph.failures == []


def test_the_shortcut_works_where_one_types(graph):
    node = graph.evaluate(ADD, ["CLIPTextEncode", {"text": "a red fox in snow"}, [420, 160]])
    graph.click("textarea >> visible=true")
    graph.keyboard.press("Control+Shift+b")
    graph.wait_for_function(f"(id) => ({VALUE})(id).startsWith('a red fox in snow,')", arg=node)
    if graph.rendering == "nodes2":
        graph.click(f"[data-testid='node-header-{node}']")
    else:
        graph.evaluate("(id) => app.canvas.select(app.graph.getNodeById(id))", node)
    graph.wait_for_selector(".selection-toolbox .pi-sparkles")
    assert graph.failures == []


def test_rare_widgets_are_folded_and_long_texts_scroll(graph, tmp_path):
    long = ", ".join(f"a cat number {i} on a mat" for i in range(40))
    node = written(graph, text=long, candidates=16)
    shown = """(id) => { const node = app.graph.getNodeById(id);
      return node.widgets.filter((w) => node.isWidgetVisible(w) && !w.options?.hidden)
        .map((w) => w.name); }"""
    names = graph.evaluate(shown, node)
    assert {"text", "mode", "seed", "candidates", "frozen"} <= set(names)
    folded = {"top_k", "top_p", "temperature", "keep", "block", "length", "token_budget"}
    assert not (folded | {"written"}) & set(names)
    graph.wait_for_function(f"() => document.querySelector('{BOX} p').scrollTop > 50")
    shoot(graph, "long", tmp_path)
    if graph.rendering == "nodes2":
        assert graph.evaluate(f"() => document.querySelector('{BOX}').offsetHeight") <= 340
    assert graph.failures == []


def test_there_is_room_for_the_prompt_and_no_panel_takes_it(graph, tmp_path):
    node = written(graph)
    assert graph.evaluate("(id) => app.graph.getNodeById(id).size[0]", node) >= 400
    assert graph.evaluate("() => document.querySelector('textarea').offsetHeight") >= 50
    wide = f"() => document.querySelector('{BOX}').offsetWidth"
    before = graph.evaluate(wide)
    panel = "(on) => app.ui.settings.setSettingValueAsync('Comfy.RightSidePanel.IsOpen', on)"
    graph.evaluate("(id) => app.canvas.select(app.graph.getNodeById(id))", node)
    # The Properties panel draws a node's widgets, too, and writes its width into them.
    graph.evaluate(panel, True)
    shoot(graph, "panel", tmp_path)
    assert graph.evaluate(wide) == before
    graph.evaluate(panel, False)
    graph.wait_for_timeout(500)
    assert graph.evaluate(wide) == before > 300
    assert graph.failures == []


CONTRAST = """(box) => {
  const parts = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((n) => {
    const c = n / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  const light = (text) => { const [r, g, b] = parts(text); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const style = getComputedStyle(document.querySelector(box));
  const both = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
  return (both[1] + 0.05) / (both[0] + 0.05);
}"""


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_it_can_be_read_in_a_light_page_and_a_narrow_one(graph, tmp_path, palette):
    setting = "(name) => app.ui.settings.setSettingValueAsync('Comfy.ColorPalette', name)"
    written(graph)
    graph.evaluate(setting, palette)
    graph.set_viewport_size({"width": 700, "height": 860})
    try:
        graph.evaluate("() => { app.canvas.ds.offset[0] = -320; app.canvas.setDirty(true, true); }")
        shoot(graph, f"narrow-{palette}", tmp_path)
        assert graph.evaluate(CONTRAST, BOX) >= 4.5  # WCAG's bar for text
        inside = f"() => document.querySelector('{BOX}').scrollWidth"
        outside = f"() => document.querySelector('{BOX}').clientWidth"
        assert graph.evaluate(inside) <= graph.evaluate(outside)
    finally:
        graph.evaluate(setting, "dark")
        graph.set_viewport_size({"width": 1280, "height": 860})
    assert graph.failures == []


def test_scores_stand_in_the_node(graph):
    texts = {"text": "a cat", "rewrite": "a cat, soft light"}
    node = graph.evaluate(ADD, ["BeautifulPromptScore", texts, [420, 140]])
    graph.wait_for_selector(BOX)
    graph.evaluate("() => app.queuePrompt(0)")
    graph.wait_for_function(f"() => /score/.test(document.querySelector('{BOX}').innerText)")
    # A workflow of a pack that had fewer inputs: the missing ones have their usual values.
    saved = graph.evaluate("() => app.graph.serialize()")
    assert saved["nodes"][0]["widgets_values"] == ["a cat", "a cat, soft light", "auto"]
    del saved["nodes"][0]["widgets_values"][2:], saved["nodes"][0]["inputs"][-1:]
    saved["nodes"][0].pop("widgets_values_named", None)
    graph.evaluate("(saved) => app.loadGraphData(saved)", saved)
    values = "(id) => app.graph.getNodeById(id).widgets.map((widget) => widget.value).slice(0, 3)"
    assert graph.evaluate(values, node) == ["a cat", "a cat, soft light", "auto"]
    assert graph.failures == []
