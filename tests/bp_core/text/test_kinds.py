"""Twenty inputs of each kind of syntax that was once read wrongly: where an addition goes, and what
a rewrite leaves as it is.

In a line § is where the addition goes; « » enclose what a rewrite must leave to the character.
"""

from __future__ import annotations

import pytest

from bp_core.text.fidelity import fidelity
from bp_core.text.prompt import parse

PLACES = {
    "auto": {
        "the section with the subject": """
best quality BREAK 1girl, library§
masterpiece, absurdres BREAK a cat on a wall§
score_9, score_8_up BREAK a knight in rain§
a fox§ BREAK best quality
a fox, snow§ BREAK masterpiece BREAK highres
best quality BREAK a fox§ BREAK a hen
best quality AND a lighthouse§
masterpiece, best quality AND 1boy, desert§
an old mill§ AND a river
1girl, solo§ AND best quality
best quality ADDCOMM a red house§ ADDCOMM a blue house
masterpiece ADDBASE two dogs§ ADDCOL one cat
rating:general BREAK a castle on a cliff§
highres, 2024 BREAK a market at noon§
best quality, amazing quality BREAK an owl, night§
score_9 BREAK score_8_up BREAK a bridge in fog§
masterpiece BREAK (a dancer:1.2), stage§
best quality BREAK [a|b], a garden§
<lora:x:1> best quality BREAK a train§
newest, absurdres AND a ship§ :0.8 AND a whale :0.3
""",
        "ratios": """
a diner, 2.39:1§
a diner, 1.85:1§
wallpaper 16:9§
poster, 4:3§
a lake, 21:9, dusk§
a square, 1:1§
portrait 9:16 of a nun§
a still, 2.35:1, rain§
1.33:1 frame of a dog§
a 3:2 print§
a 5:4 plate, a vase§
cinema, 2.76:1§
2:1 panorama of hills§
a model at 1:24 scale§
a map at 1:50000§
a clock at 5:30§
6:45am, a bakery§
10:10 on a watch§
a race won in 1:59:40§
a goal at 90:00, a stadium§
""",
        "emoticons": """
1girl, :3§
1girl, :D§
1girl, :P§
cat, :o§
boy, ;)§
girl, ^_^§
girl, >_<§
girl, @_@§
robot, =_=§
robot, +_+§
I <3 cats§
I <3 you, card§
smile, :), beach§
1girl, :3, night§
xD, :D, a clown§
fox, ^^, snow§
:3, a cat§
girl, ;p, winter§
1girl, :d, bed§
dog, :>, bone§
""",
        "name:value tags": """
1girl, rating:general, score:9§
1girl, score:9§
rating:safe, a cat§
a hen, rating:general§
source:anime, 1boy§
year:2024, 2girls§
copyright:original, 1girl§
artist:someone, a fox§
quality:best, a bay§
1girl, meta:highres§
species:fox, a den§
style:flat, an icon§
medium:oil, a jug§
character:miku, stage§
1girl, rating:explicit_not, sky§
order:score, a lake§
a cat, score:8, mood:calm§
view:front, a car§
lang:en, a sign§
rating:g§
""",
        "::weights": """
street::1.5 rain::-0.5§
street::2 rain::1§
a fox::1.5, snow::0.5§
a cat::-0.3, hat§
sky::3 sea::1 sand::.5§
oak::0.5§
a::1 b::2 c::3§
moon::1.25, lake§
red::0.2 blue::0.8§
hot dog::1.5 food::-1§
a lamp:: 2 a desk:: 1§
fog::0.9 hill§
tower::1 clouds::-1, dusk§
a ship::1.0 storm::0.4§
cat::2§
dog::-1 park::1§
wood::1.1 stone::1.2§
mask::.7, stage§
bird::1 tree::1 nest::1§
a fig::2.5, knife§
""",
        "parts of a prompt (SwarmUI)": """
a photo of a cat§ <segment:face> a happy dog
a cat§ <segment:face,0.6,0.5> green eyes
a room§ <object:0.1,0.1,0.5,0.5> a chair
a field§ <region:0,0,0.5,1> a cow
a field§ <region:background> hills
a street§ <refiner> sharper
a street§ <base> rough
a wolf§ <video> it runs
a wolf§ <videoswap> it stops
a cat in a forest§ <extend:81> the cat runs
a photo§ <break> big fluffy dog
a nun§ <clear:background>
a girl§ <segment:yolo-face.pt-1> freckles
a girl§ <segment:hand> five fingers
a hut§ <segment:door|window> light
a ship§ <object:0,0,1,1,0.5,0.5> a sail
<lora:x> a pond§ <segment:frog> eyes
a <random:red|blue> car§ <segment:wheel> chrome
a market, noon§ <region:0,0,1,0.3> sky <region:0,0.3,1,0.7> stalls
a face§ <segment:eyes> <lora:eyes:0.6> blue
""",
        "flags": """
a lighthouse§ --no people, boats --ar 16:9
a fox§ --ar 3:2
a fox, snow§ --v 7
a hen§ --niji 6
a jug§ --stylize 250 --chaos 10
a jug§ --s 50
a moth§ --seed 7
a moth§ --raw
a mill§ --style raw
a mill§ --weird 300
a nun§ --q 2 --tile
a pier§ --sref 123 --sw 50
a pier§ --oref https://x.y/z.png --ow 80
a lamp§ --iw 2
a cat --no-hands§
a cat --no-frills, hat§
a cat --no-hands§ --no dogs
a map§ --hd --repeat 4
a bay§ --draft
an elk§ —ar 16:9
""",
        "number signs": """
a car in color #FF5733 on a road§
a wall in #fff, a chair§
#FF0000 car§
a book on C#§
F# minor, a piano§
portrait of #1 dad, sunset§
#1 fan, stadium§
a hashtag #nofilter, beach§
#tag, a cat§
a jersey #23, court§
room #101§
bus #9 in rain§
a mug, #bestmum§
paint #A1B2C3, a fence§
a shop at #12 High Street§
#throwback, a diner§
track #4, vinyl§
a pin #007§
sneaker #0F0F0F§
gate #5, airport§
""",
        "names with slashes and signs": """
.hack//sign, a girl§
Fate//Zero, a saber§
AC/DC concert§
24//7 shop§
and/or gate, brass§
he/him badge§
a w/ b, hat§
black/white cat§
50/50 split, cake§
Tom & Jerry§
R&B singer§
Q&A stage§
AT&T tower§
P!nk on stage§
Ke$ha poster§
a@b, a letter§
C++ book, desk§
Google+, a card§
no. 5, perfume§
Dr. Who, a box§
""",
        "pasted parameters": """
1girl, solo§ Steps: 20, Sampler: Euler
1girl, solo§\\nSteps: 20, Sampler: Euler a, CFG scale: 7
a fox§\\nNegative prompt: bad hands
a fox, snow§\\nNegative prompt: blurry\\nSteps: 30, Sampler: DPM++
a hen§ Negative prompt: text
a mill,§ Steps: 8, Size: 512x512
a mill§ Steps: 8, Seed: 7
a pier, dusk§ Steps: 28, CFG scale: 5
a nun§\\nNegative prompt: x, y, z
a jug§ <lora:x:1> Steps: 20, Sampler: UniPC
a moth§\\nNegative prompt:
best quality, a lamp§ Steps: 4, Model: x
a map (old:1.2)§ Steps: 12, Sampler: Heun
an elk§ Negative prompt: (bad:1.3)\\nSteps: 20, Sampler: LMS
1boy, cap§\\nSteps: 150, Sampler: DDIM
2girls, sea§ Negative prompt: 1boy
a bay, 8k§ Steps: 25, Version: v1.10
a cave§\\nNegative prompt: low quality\\nSteps: 20, Size: 8x8
a wheel§ Steps: 1, Sampler: LCM
three steps: 20 stairs§
""",
    },
    "webui": {
        "what the host strips": """
portrait of§ #1 dad, sunset
a fox§ # my note
a fox, snow§ # (red:1.2)
a cat§ #tag
a car in§ #FF5733 on a road
a book, C§# and tea
a jersey§ #23
# note\\na hen§
a hen§# note
a mill, dusk§ #x #y
a nun§ # BREAK
a pier§ #, boats
(a jug:1.2)§ # big
a lamp§ <lora:x:1> # l
a moth,§ # wings
a map§ #\\n
a bay§ # a\\n# b
an elk [a|b]§ # c
a cave§ ## deep
a gate§ #5, airport
""",
    },
}  # fmt: skip

STAYS = {
    "choices and wildcards": """
a wide street, «A {blond|redhead} man and a {tall|short} woman»
«a __~animals__ and a __@colors__ house», a garden
a garden, «a {red|blue} gate», an old wall
«__places__ in rain», a lone walker
a lone walker, «{2$$hat|scarf|gloves}»
«a {1-2$$cat|dog} on a rug», a fire
a kitchen, «a bowl of __fruit__»
«${animal=fox}», a den
a den, «${animal} in moss»
«{0.5::day|0.5::night} sky», a harbour
a harbour, «boats in __colour__ paint»
«__season/*__ forest», a path
a path, «{|mossy} stones»
«a {{red|pink}|blue} rose», a vase
a vase, «__vases(color=red)__»
«a __material__ cup», steam
a stage, «a {{singer}|dancer}»
«{small|big} boat», calm water
calm water, «__weather__ sky»
a market, «{3$$ and $$apples|figs|pears|plums}»
""",
    "whole items of dynamicprompts": """
«__sky/{day|night}__ over a lighthouse», calm sea
«%{a photo of ... in snow$$a hen}», dusk
«%{... painting$$a {red|blue} jug}», a shelf
«__a/{b|c}/d__», a field
«${x=__colours__}», a barn
«${x=!{red|green}} a ${x} hat», a hook
«{2-3$$__fruit__|__nuts__}», a bowl
«__~styles__ of a mill», a river
«__@styles__», a river
«{@a|b|c} on a wall», a yard
«{~a|b} fence», a yard
«${x:red} door», a step
«__animals/*__ asleep», a rug
«__a__ __b__», a bench
«{a|b}{c|d}», a bench
«%{__frames__$$a cat}», a sofa
«{a$$b} lamp», a desk
«__dir/sub dir/x__», a desk
«{__a__|__b__|c}», a roof
«a {cat::2|dog} in rain», a roof
""",
    "tags are one word": """
«score_9, score_8_up, source_anime», 1girl, solo, classroom
«source_anime», a full classroom
«silver_hair», a window, rain
«looking_at_viewer», a girl in a park
«hatsune_miku», a big stage
«saber_(fate)», a stone hall
«red_eyes, cat_ears», a quiet room
«rating_safe», a beach at noon
«holding_sword», a lone knight
«from_behind», a woman on a pier
«long_hair», a boy on a swing
«school_uniform», two friends
«cherry_blossoms», an old gate
«multiple_girls», a long table
«wide_shot», a desert road
«white_background», a red shoe
«year_2024», a busy square
«open_mouth», a surprised owl
«dutch_angle», a narrow stair
«floating_hair», a girl underwater
""",
    "signs to the character": """
1girl, «^_^», closed eyes, a garden
«I <3 cats», a shop window
«5:30pm», an empty office
«a sign "$3"», a small shop
«a bar 'Sol & Luna'», heavy rain
«a sign "OPEN 24/7"», a dark road
«50% off», a shop window
«a €20 note», a worn wallet
«30°C in the shade», a dusty yard
«AT&T tower», evening light
«Route #66», a dusty yard
«C++ book», a tidy desk
«C# book», a tidy desk
«f/1.8», a bride in a garden
«1:1», a plain vase
«2 + 2 = 5», a blackboard
«a letter to a@b.c», a tidy desk
«★ rating», a hotel door
«™ logo», a white box
«[x] done», a paper list
""",
    "compel": """
«(forest)1.3», a narrow path
«(forest)1.3», a path, «(moss)0.7»
«dog++», a green park
«dog--», a green park
«(red hat)++», an old man
«"a fox"++», a snowy hill
«(a fox, a hen)1.2», a snowy hill
«((owl)1.1 branch)1.2», the moon
«cat+», a stone wall
«(cat)-», a stone wall
«(fog)+++», a wide valley
«lamp+++», a small desk
«(gold)1.5 leaf», a picture frame
«(one)0.5», two boats
«sea++ and sky--», a white sail
«(a)1.1 (b)1.2», a plain wall
«(old mill)1.25», a slow river
«(bell)0.9», a church tower
«(ice)1.4», a frozen pond
«river-- bank», low willows
""",
}


def lines(text):
    return [line.replace("\\n", "\n") for line in text.splitlines() if line.strip()]


PLACED = [
    (syntax, kind, line)
    for syntax, kinds in PLACES.items()
    for kind, text in kinds.items()
    for line in lines(text)
]
HELD = [(kind, line) for kind, text in STAYS.items() for line in lines(text)]


def test_there_are_twenty_of_each():
    counted = [len(lines(text)) for kinds in PLACES.values() for text in kinds.values()]
    assert set(counted + [len(lines(text)) for text in STAYS.values()]) == {20}


@pytest.mark.parametrize(("syntax", "kind", "line"), PLACED, ids=lambda value: value[:40])
def test_where_an_addition_goes(syntax, kind, line):
    before, after = line.split("§")
    expanded = parse(before + after, syntax).expand("TAIL")
    assert expanded.count("TAIL") == 1
    left, right = expanded.split("TAIL")
    assert left.rstrip(" ,\n") == before.rstrip(" ,\n"), expanded
    assert right.lstrip(" ,\n") == after.lstrip(" ,\n"), expanded


@pytest.mark.parametrize(("kind", "line"), HELD, ids=lambda value: value[:40])
def test_what_a_rewrite_leaves_as_it_is(kind, line):
    held = [part.split("»")[0] for part in line.split("«")[1:]]
    prompt = line.replace("«", "").replace("»", "")
    parsed = parse(prompt)
    rewritten = parsed.rewrite("entirely other words")
    assert "entirely other words" in rewritten
    assert all(part in rewritten for part in held), rewritten
    assert fidelity(" ".join(held), rewritten).kept == 1


SENTENCES = lines("""
a cat by the window. The mood is sad.
A fox sleeps. Snow falls.
A man waits at a stop. It rains.
The hall is empty. A clock hangs on the wall. Dust lies on the floor.
An old mill stands by a river. Willows lean over the water.
A girl reads. Her dog sleeps.
Two boats rest on sand. The tide is low!
Who lit the lamp? The room is bare.
A train leaves. Steam hides the bridge.
The market is closed. Crates stand in rows.
A knight kneels. His sword is broken.
A bowl of figs. The light is cool and even.
Dr. Watson waits in fog. A cab arrives.
A bee lands on a rose. Pollen clings to its legs.
A child points at the moon. The sea is calm.
Rust covers the gate. Ivy grows over it.
A baker opens the oven. Bread glows inside.
The pool is drained. Leaves lie on the tiles.
A crow sits on a post. The field is white.
A loom stands by the door. Threads hang from it.
""")


@pytest.mark.parametrize("prompt", SENTENCES)
def test_sentences_remain_sentences(prompt):
    from bp_core.draft import _as_sentences
    from bp_core.text.words import sentences

    joined = prompt.rstrip(".!?").replace(". ", ", ").replace("? ", ", ").replace("! ", ", ")
    joined = joined.replace("Dr, ", "Dr. ")
    assert len(sentences(_as_sentences(prompt, f"{joined}, soft light"))) >= len(sentences(prompt))
