from bp_core.text.concepts import Concepts
from bp_core.text.notes import Concept
from train.data.composed import composed, without_wrong
from train.data.judged import Judged
from train.data.written import Written

FOX = Concept.read(
    "fox | creature | look: rust-red fur; bushy tail | place: by a den | light: dusk | "
    "view: from the ground"
)
PHRASES = ("from the ground", "by a den", "bushy tail", "rust-red fur", "dusk", "a red van")
CONCEPTS = Concepts([])


def judged(best=(0, 1, 2, 3), wrong=(5,), prompt="a fox"):
    return Judged(prompt, "tags", PHRASES, frozenset(wrong), frozenset(best))


def test_best_notes_stand_in_the_order_of_an_addition(monkeypatch):
    monkeypatch.setattr(CONCEPTS, "named", lambda prompt: [FOX])
    (row,) = composed([judged()], CONCEPTS, 5)
    phrases = row.text.split(", ")
    assert set(phrases[:2]) == {"rust-red fur", "bushy tail"}  # looks first, in either order
    assert phrases[2:] == ["by a den", "from the ground"]
    assert set(phrases) <= set(row.notes) <= set(PHRASES)


def test_what_no_reader_chose_makes_no_addition(monkeypatch):
    monkeypatch.setattr(CONCEPTS, "named", lambda prompt: [FOX])
    told_only_wrong = judged()
    told_only_wrong = Judged("a fox", "tags", PHRASES, told_only_wrong.wrong, None)
    few, long_already = judged(best=(0, 1)), judged(prompt="a fox " * 20)
    assert composed([told_only_wrong, few, long_already], CONCEPTS, 5) == []


def test_one_seed_one_choice(monkeypatch):
    monkeypatch.setattr(CONCEPTS, "named", lambda prompt: [FOX])
    rows = [judged(prompt=f"a fox and {i} hens") for i in range(9)]
    assert composed(rows, CONCEPTS, 4, seed=1) == composed(rows, CONCEPTS, 4, seed=1)
    assert composed(rows, CONCEPTS, 4, seed=1) != composed(rows, CONCEPTS, 4, seed=2)


def test_struck_out_notes_go_where_the_text_does_not_use_them():
    row = Written("a fox", "tags", "expand", "dusk, A red van", ("a red van", "dusk", "by a den"))
    assert without_wrong([row], [judged(wrong=(1, 5))])[0].notes == ("a red van", "dusk")
    other = row._replace(prompt="a hen")
    assert without_wrong([other], [judged(wrong=(1, 5))]) == [other]
