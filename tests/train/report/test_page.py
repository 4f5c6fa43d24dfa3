"""What reports share: marked rewrites, plots as text, files written whole or not at all."""

import pytest
from matplotlib.figure import Figure

from train.report.page import marked, svg, write_page, write_whole


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("a cat", "a cat, soft light", "a cat<mark>, soft light</mark>"),
        ("a cat", "a cat", "a cat"),
        ("two cats", "two cat, by the sea", "two cat, by the <mark>sea</mark>"),
        (
            "cat on a sofa",
            "a red cat sits on a sofa, old lamp, dim",
            "a <mark>red</mark> cat <mark>sits</mark> on a sofa, <mark>old lamp, dim</mark>",
        ),
        ("a <b> & c", "a <b> & c, fog", "a &lt;b&gt; &amp; c<mark>, fog</mark>"),
        ("雪山", "雪山, 日落", "雪山<mark>, 日落</mark>"),
    ],
)
def test_what_was_added_is_marked(prompt, text, expected):
    assert marked(prompt, text) == expected


def test_a_page_needs_nothing_else_and_escapes_its_title(tmp_path):
    figure = Figure()
    figure.add_subplot().set_title("$5 and 100 %")
    write_page(tmp_path / "report.html", "a < b", [svg(figure, 'what "it" shows')])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>a &lt; b</title>" in page and 'name="viewport"' in page
    assert 'aria-label="what &quot;it&quot; shows"' in page
    assert not any(word in page for word in ("<script", "<link", "src=", "@import", "url(http"))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_last_file(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text() == "first"
