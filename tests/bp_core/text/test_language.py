"""English is told from other languages, and from English with foreign names in it."""

import pytest

from bp_core.text.language import ENGLISH, foreign_words, language_of


@pytest.mark.parametrize(
    ("prose", "language"),
    [
        ("雪中的狐狸", "Chinese"),
        ("雪中的狐狸, masterpiece, best quality, 8k", "Chinese"),
        ("夕暮れの灯台、波、雲", "Japanese"),
        ("눈 속의 여우", "Korean"),
        ("лиса в снегу", "Cyrillic script"),
        ("ثعلب في الثلج", "Arabic script"),
        ("สุนัขจิ้งจอกในหิมะ", "Thai script"),
        ("un renard dans la neige", "French"),
        ("ein Fuchs im Schnee bei Sonnenuntergang", "German"),
        ("eine Katze", "German"),
        ("una mujer con vestido rojo en la playa", "Spanish"),
        ("uma raposa na neve", "Portuguese"),
        ("una volpe nella neve", "Italian"),
        ("een vos in de sneeuw", "Dutch"),
        ("en räv på snön", "Swedish"),
        ("seekor rubah di salju", "Indonesian"),
    ],
)
def test_other_languages(prose, language):
    assert language_of(prose) == language


@pytest.mark.parametrize(
    "prose",
    [
        "",
        "8k, 4k",
        "a fox in the snow",
        "portrait of 宮崎駿 in a garden",
        'neon sign that says "東京"',
        "Rio de Janeiro at night",
        "Día de los Muertos festival, skeletons",
        "Das Boot movie poster",
        "Vincent van Gogh style sunflowers",
        "crème brûlée",
        "café terrace at night",
        "São Paulo skyline",
        "Les Misérables barricade",
        "dentist's office, 1950s",
        "acrylic pour planet",
        "yin-yang",
        "🦊 fox, ❄",
        "ｆｏｘ in the ｓｎｏｗ",
    ],
)
def test_english_with_names_stays_english(prose):
    assert language_of(prose) == ENGLISH


def test_words_in_another_script():
    assert foreign_words("a fox, 狐狸 and лиса in café") == ["狐狸", "лиса"]
