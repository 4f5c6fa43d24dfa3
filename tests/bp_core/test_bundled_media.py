"""The bundled writer keeps to the kind of picture: drawings get no camera, photographs no brush."""

import re

import pytest

_CAMERA = re.compile(
    r"\b(?:\d+\s?mm|lens|dslr|canon|nikon|camera|bokeh|iso \d+|f/\d|photo\w*|film grain|"
    r"8k|4k|uhd|hdr|masterpiece|trending|depth of field)\b"
)
_DRAWN = re.compile(
    r"\b(?:brush ?strokes?|impasto|illustration|ink outlines?|cel shading|canvas)\b"
)

BOORU = """
masterpiece, best quality, newest, absurdres, 1girl, solo, night
1girl, cat ears, maid, kitchen
1boy, samurai, katana, bamboo forest
2girls, beach, ice cream, summer
no humans, cat, window, rain
1girl, witch, cauldron, potion
score_9, score_8_up, 1girl, school uniform, rooftop
1boy, mechanic, garage, motorcycle
scenery, no humans, mountain, lake
1girl, ballerina, stage, spotlight
1girl, kimono, snow, umbrella
1boy, chef, kitchen, knife
no humans, dragon, castle, storm
1girl, astronaut, space, planet
2boys, basketball, gym
1girl, violin, concert hall
1girl, fairy, flower, forest
no humans, robot, desert, ruins
1boy, wizard, staff, tower
1girl, bicycle, street, sunset
"""
DRAWINGS = """
linocut of a heron
simple line icon of a key
not a photo, a cartoon fox
watercolor of a harbour
pencil sketch of an old man
pixel art castle
flat vector logo of a bear
woodcut of a stormy sea
ink drawing of a crane
oil painting of a barn
anime girl on a train
charcoal drawing of a horse
children's book illustration of a mouse
isometric icon of a bakery
stained glass rose
gouache painting of a market
comic book panel of a rooftop chase
engraving of a beetle
chalk drawing of a sailing ship
minimalist poster of a mountain
"""
PHOTOGRAPHS = """
photo of a fisherman at dawn
35mm photograph of a diner
macro photo of a bee
black and white photo of a street musician
product photo of a perfume bottle
aerial photograph of a river delta
wedding photo in a barn
polaroid of a birthday party
long exposure photo of a waterfall
portrait photo of an old woman
wildlife photo of an owl
photo of a bowl of ramen
fashion photograph of a red coat
night photo of a neon street
drone photo of a vineyard
photo of a steam locomotive
underwater photo of a turtle
documentary photo of a welder
photo of an empty swimming pool
infrared photo of a forest
"""


def lines(text):
    return text.strip().split("\n")


@pytest.fixture(scope="module")
def added(bundled_rewriter):
    prompts = [*lines(BOORU), *lines(DRAWINGS), *lines(PHOTOGRAPHS)]
    results = bundled_rewriter.many(prompts, n=2, seed=5)
    return {
        result.prompt: [phrase for c in result.candidates for phrase in c.added]
        for result in results
    }


@pytest.mark.parametrize("prompt", [*lines(BOORU), *lines(DRAWINGS)])
def test_tags_and_drawings_get_no_camera(added, prompt):
    assert added[prompt]
    assert not [phrase for phrase in added[prompt] if _CAMERA.search(phrase)]


@pytest.mark.parametrize("prompt", lines(PHOTOGRAPHS))
def test_photographs_are_not_painted(added, prompt):
    assert added[prompt]
    assert not [phrase for phrase in added[prompt] if _DRAWN.search(phrase)]
