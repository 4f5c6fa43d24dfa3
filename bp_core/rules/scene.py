"""What a phrase would change in a picture: who is in it, where it is, how and when it was made.

An artist who asked for a lighthouse wants no face, one who put two dogs on a sofa no lake behind
them, and one who asked for a pencil sketch no photograph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ..text.words import stem, words


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(w) for w in text.split())


# Who would be one more in the picture, or somebody else.
_PERSONS = _stems(
    "woman man girl boy guy lady gentleman male female child kid baby teenager adult actor actress "
    "family couple crowd"
)
# A person, and what only a person has. A phrase with one of these is a subject of its own: added
# to a prompt about a lighthouse it turns the picture into a portrait.
_PEOPLE = _PERSONS | _stems(
    "portrait portraiture selfie headshot face facial person people human humanoid model he she "
    "his her him he's she's himself herself body torso skin hair haired hairstyle eye eyed eyebrow "
    "eyelash lip mouth cheek freckle nose chin neck shoulder arm hand finger leg waist hip beard "
    "mustache makeup dress clothes clothing outfit costume pose posing"
)
# Words of an input that make such phrases welcome, too.
_WELCOMING = _PEOPLE | _stems(
    "king queen prince princess knight warrior soldier wizard witch mage sorcerer sorceress elf "
    "vampire angel demon god goddess fairy mermaid samurai ninja pirate cowboy viking monk nun "
    "priest doctor nurse chef teacher student astronaut pilot dancer singer player hero heroine "
    "superhero villain character mother father brother sister grandmother grandfather friend "
    "worker farmer hunter fisherman detective cyborg android robot zombie "
    "ghost clown bride groom emperor empress lord druid shaman surfer skier rider"
)
# What somebody must be there for, though a llama may wear glasses.
_TELLTALES = _PEOPLE | _stems("wear smile attractive muscular")
# What makes a portrait of any scene: a man who rides a wave is no reason for one.
_FRAMINGS = _stems("portrait portraiture selfie headshot")
_FRAMED = _FRAMINGS | _stems("face bust closeup")
# What is seen of somebody near by, and what says that somebody is: a framing, such a part, or one
# of those who are mostly drawn for their looks …
_FEATURES = _stems("face facial feature skin lip makeup eye eyed hair haired hairstyle")
_NEAR_BY = _FRAMED.union(
    _FEATURES,
    _stems(
        "portait potrait eye hair haired hairstyle beard freckle character model cosplay fashion "
        "queen king prince princess knight warrior wizard witch mage sorcerer sorceress elf "
        "vampire angel demon god goddess fairy mermaid samurai ninja hero heroine superhero "
        "villain cyborg android emperor empress druid shaman bride"
    ),
)
# … and what says that there is more to see: a man holding a surfboard has no perfect lips.
_SCENE = re.compile(
    r"\b(?:in|on|onto|at|near|by|over|under|behind|beside|between|through|next|into|from|while"
    r"|(?!(?:wearing|looking|staring|smiling|painting|drawing|string)\b)\w{2,}ing)\b"
)
# A place, or a time of day that only a sky shows: no sunset in a bathroom, no lake behind a sofa.
_PLACES = _stems(
    "sunset sunrise dusk dawn hour landscape scenery skyline horizon sea ocean beach "
    "coast shore bay island harbor lake river pond waterfall valley canyon mountain hill cliff "
    "desert forest jungle woodland meadow field street city town village tree vegetation foliage "
    "grass"
)
# Weather, which needs a sky as well.
_WEATHER = _stems(
    "sky cloud cloudy sunny weather rain rainy snow snowy storm stormy overcast moon "
    "moonlit starry night"
)
_UNDER_A_SKY = _PLACES | _WEATHER
# What grows, and where: not on a runway, a ferry or a street sign.
_PLANTS = _stems(
    "lush tree vegetation foliage grass flower jungle forest woodland meadow bush ivy vine moss "
    "fern"
)
_GREEN = _PLANTS | _stems(
    "wood garden farm field hill mountain valley canyon river lake pond waterfall landscape "
    "scenery nature village cottage cabin house castle palace temple ruin barn windmill orchard "
    "vineyard spring summer planet island kingdom plant leaf"
)
# What stands under a sky by itself, or says that there is one …
_OUTDOORS = _PLACES | _stems(
    "sky cloud sun moon garden farm park road highway bridge "
    "cabin castle tower palace temple church cathedral ruin lighthouse windmill "
    "barn pyramid volcano planet snow rain fog storm outdoor outside"
)
# … and what is mostly met there, unless there is furniture: a fox on a sofa …
_AFIELD = _stems(
    "camel elephant giraffe zebra lion tiger leopard wolf fox bear deer moose horse cow sheep goat "
    "kangaroo rabbit squirrel bird eagle owl duck swan heron flamingo dragon dinosaur unicorn"
)
# … or the view of a bathroom.
_OPEN_AIR = _AFIELD | _stems(
    "boat ship sailboat yacht canoe surfer skier kite airplane plane helicopter balloon "
    "train car truck bus bicycle bike motorcycle tractor penguin whale dolphin "
    "star view wood flower building house night day evening morning"
)
# Where a jungle is no other place than the artist's.
_TROPICAL = _stems(
    "jungle forest rainforest woodland tree vegetation vine ruin temple waterfall island volcano "
    "dinosaur tiger leopard jaguar elephant monkey ape gorilla chimpanzee orangutan snake frog "
    "parrot toucan macaw"
)
# Whose portrait shows no person.
_ANIMALS = _AFIELD | _stems(
    "animal pet dog puppy corgi poodle husky retriever schnauzer terrier dachshund bulldog beagle "
    "chihuahua dalmatian cat kitten kitty tabby bunny hare hamster mouse rat hedgehog raccoon "
    "otter beaver panda koala sloth "
    "monkey gorilla ape chimpanzee orangutan frog toad turtle tortoise lizard snake crocodile "
    "alligator fish goldfish shark octopus squid crab lobster shrimp snail insect butterfly "
    "bee bug beetle spider chick chicken hen rooster parrot pigeon sparrow robin goose turkey "
    "ostrich peacock penguin whale dolphin seal walrus pig piglet boar donkey mule pony llama "
    "alpaca lamb calf hippo hippopotamus rhino rhinoceros panther cheetah jaguar lynx bat bull "
    "ox buffalo bison dino"
)
# What an animal's portrait is no reason for.
_HUMAN = _stems("hair haired hairstyle skin lip cheek makeup beard mustache freckle smile")
# Who or what can be cute or fierce. A grown man, a mug or a street is not.
_SPIRITED = _ANIMALS | _stems(
    "girl boy child kid baby toddler infant teenager princess prince fairy elf mermaid angel "
    "character hero heroine warrior knight samurai viking ninja pirate robot android clown "
    "daughter son schoolgirl bride creature beast monster alien phoenix griffin werewolf orc "
    "goblin gnome dwarf troll ogre imp toy doll plush plushie teddy mascot pokemon chibi kawaii "
    "cute anthro furry"
)
_WARRIORS = _stems(
    "warrior knight samurai viking ninja pirate hero heroine orc troll ogre werewolf"
)
_CREATURES = _ANIMALS | _stems("creature beast monster werewolf yeti mascot pokemon alien")
# What is soft to the touch.
_SOFT = _CREATURES | _stems(
    "cloud snow fur wool cotton coat jacket scarf sweater blanket carpet rug pillow cushion towel "
    "bed slipper toy plush plushie teddy doll cake pancake bread cream marshmallow popcorn "
    "angel wing hair beard tail"
)
# Who has claws, fangs or a beak.
_BEASTS = _CREATURES | _stems(
    "vampire demon devil orc goblin troll ogre imp griffin phoenix gargoyle anthro furry"
)
# Where blood may flow.
_GRIM = _stems(
    "blood bloody vampire zombie demon devil monster werewolf ghoul skull skeleton horror horrific "
    "creepy scary sinister evil gothic slasher murder killer war battle battlefield wound kill dead"
)
# What a phrase says, and what must be there for it.
_NEEDS = (
    (_PLANTS, _GREEN | _AFIELD),
    (_stems("jungle"), _TROPICAL),
    (_stems("cute adorable kawaii chibi"), _SPIRITED - _WARRIORS),
    (_stems("fierce ferocious"), _SPIRITED),
    (_stems("fur furry fluffy feather whisker"), _SOFT),
    (_stems("claw fang paw hoof snout beak"), _BEASTS),
    (_stems("blood bloody"), _GRIM),
)
_WITHIN = _stems("indoor interior inside")
_INDOORS = _WITHIN | _stems(
    "room bedroom bathroom kitchen office classroom library studio "
    "restaurant sofa couch bed bathtub sink toilet desk table plate bowl cup mug shelf fridge "
    "oven microwave carpet ceiling hallway"
)
# Media, by the words that tell them.
_PHOTO = "photo photos photograph photographs photography photographic dslr polaroid"
_CAMERA = "nikon canon sony leica kodak eos lens 35mm 50mm 85mm iso"
_PHOTOREAL = "photorealistic photorealism hyperrealistic hyperrealism"
_REAL = f"realistic realism real {_PHOTOREAL}"
_RENDER = "3d cgi render renders rendered octane unreal blender vray"
_WATER = "watercolor watercolour gouache"
_OIL = "oil acrylic"
_PENCIL = "pencil charcoal"
_COMIC = "cartoon anime manga comic comics"
_LINES = "drawing drawings sketch sketches lineart engraving woodcut"
_BLOCKS = "pixelart lowpoly"
_GRAPHIC = "vector logo poster mosaic embroidery"
_SCHOOLS = "impressionism impressionist cubism cubist"
_DRAWN = f"{_WATER} {_PENCIL} {_COMIC} {_LINES} {_BLOCKS} {_GRAPHIC} {_SCHOOLS}"
_PAINTED = "painting paintings acrylic illustration illustrations digitalart"
# What one picture can hardly be at once: a word of one side contradicts the other.
_OPPOSITES = tuple(
    tuple(frozenset(side.split()) for side in line.split("|"))
    for line in f"""
{_PHOTO} | {_DRAWN} {_PAINTED} {_RENDER}
{_CAMERA} | {_DRAWN} {_PAINTED}
{_PHOTOREAL} | {_DRAWN} painting paintings
bokeh | {_WATER} {_OIL} {_PENCIL} {_LINES} {_BLOCKS} {_GRAPHIC} {_SCHOOLS} painting paintings
{_WATER} {_PENCIL} {_LINES} {_GRAPHIC} pixelart | {_RENDER} dslr matte
{_WATER} | {_OIL} {_PENCIL} digitalart
{_OIL} | {_PENCIL} {_COMIC} digitalart
{_COMIC} | {_REAL}
comic comics manga | {_RENDER}
{_BLOCKS} {_GRAPHIC} | {_REAL}
{_BLOCKS} | {_WATER} {_OIL} {_PENCIL} matte
pixelart | digitalart
sun sunny sunlit sunlight sunshine | rain rainy raining storm stormy thunderstorm overcast cloudy \
fog foggy night nighttime midnight moonlight moonlit starry blizzard snowstorm
day daylight daytime noon midday | night nighttime midnight moonlight moonlit starry sunset \
sunrise dusk dawn
sunset sunrise | rain rainy raining overcast storm stormy thunderstorm snowstorm blizzard
fairweather | rain rainy raining overcast storm stormy thunderstorm fog foggy
sunrise dawn morning | sunset dusk evening twilight night midnight
noon midday sunny | sunset dusk sunrise dawn twilight evening starry
night nighttime midnight moonlit | sunset sunrise daylight
dark darkness gloomy murky | bright sunny cheerful
summer | winter autumn snow snowy blizzard
spring | winter autumn
autumn | winter snow snowy
winter | flower flowers blossom blossoms blooming firefly fireflies
monochrome grayscale | colorful colourful color colors colour colours vibrant vivid rainbow
minimalist minimalistic minimalism | intricate ornate elaborate maximalist
35mm | 50mm 85mm
50mm | 85mm
closeup macro | panorama panoramic aerial landscape wide
cute adorable kawaii | scary creepy horror horrifying terrifying gruesome evil sinister \
menacing grim gritty vampire vampires zombie zombies demon demons demonic skull skulls skeleton \
skeletons gore bloody apocalypse apocalyptic
makeup | male man boy beard mustache
old elderly aged wrinkled | young youthful smoothskin
softfocus | sharpfocus
indoor indoors interior | outdoor outdoors
indoor indoors interior inside | aerial panorama panoramic
modern futuristic | ancient medieval antique
calm peaceful serene tranquil | chaotic violent storm stormy thunderstorm
underwater undersea lunar | sunset sunrise cloud clouds cloudy rain rainy snow snowy mountains \
river creek waterfall waterfalls lush
desert dunes | snow snowy winter ice frozen lush river creek waterfall waterfalls
longhair | shorthair bald
happy joyful cheerful | sad melancholic melancholy gloomy
""".strip().splitlines()
)
# Names of several words that the guard of one tail knows as well.
DEPTH_OF_FIELD = re.compile(r"\b(?:shallow )?depth of field\b|\bshallow (?:focus|depth)\b|\bdof\b")
GOLDEN_HOUR = re.compile(r"\bgolden[ -]hour\b")
# Words that name one thing together, joined or with the part that would mislead taken away: a hair
# dryer has no hair, and a clock's face nobody behind it.
_COMPOUNDS = (
    # "A black and white cat" may be in colour.
    (
        re.compile(
            r"\bblack[ -](?:and|&)[ -]white(?=\W+(?:(?:landscape|portrait|street|film|old|vintage"
            r"|nature|wildlife|fashion|studio|documentary)\W+)?(?:photo|picture|image|film|movie"
            r"|drawing|sketch|ink|comic|illustration|art))|\bb&w\b"
        ),
        "monochrome",
    ),
    (re.compile(r"\bclose[ -]up\b"), "closeup"),
    (DEPTH_OF_FIELD, "bokeh"),
    (GOLDEN_HOUR, "golden hour sunset"),
    (re.compile(r"\bdigital[ -](?:art(?:work|s)?|paintings?)\b"), "digitalart"),
    (re.compile(r"\bpixel[ -]?art\b"), "pixelart"),
    (re.compile(r"\blow[ -]poly\b"), "lowpoly"),
    (re.compile(r"\b(?:photo|hyper|ultra)[ -](real\w+)\b"), r"photorealistic \1"),
    (re.compile(r"\b(?:smooth|flawless|perfect)[ -]skin(?:ned)?\b"), "smoothskin skin"),
    (re.compile(r"\bsoft(?:ly)?[ -]focus(?:ed)?\b"), "softfocus"),
    (re.compile(r"\b(?:sharp(?:ly)?|crisp|clear)[ -]focus(?:ed)?\b"), "sharpfocus"),
    (re.compile(r"\boil on (?:canvas|panel|linen|wood)\b"), "oil painting"),
    (re.compile(r"\bmoon(?:['’]s surface| landing)\b|\bon the moon\b(?!['’])"), "lunar"),
    # A wizard's desk and a pirate ship show nobody.
    (re.compile(r"\b(?!(?:he|she|it|who|that|there|what|let)['’])\w+['’]s\b"), " "),
    (
        re.compile(
            r"\b(?:pirate|viking|ghost|phantom|samurai|knight|witch|wizard|astronaut|monk|priest"
            r"|cowboy|soldier|doctor|nurse|student|teacher|model|clown|ninja)[ -]"
            r"((?:long|air|space)?ships?|boats?|trains?|towns?|villages?|houses?|castles?|swords?"
            r"|helmets?|hats?|boots|suits?|armou?r|masks?|robes?|desks?|flags?|temples?)\b"
        ),
        r"\1",
    ),
    (re.compile(r"\bfluffy (?=(?:\w+ )?clouds?\b)"), "fairweather "),
    (re.compile(r"\bfluffy (?=(?:\w+ )?(?:snow|hair)\b)"), ""),
    (
        re.compile(
            r"\b(?:hair|hand|arm|face|eye|neck|lip|model|dress)[ -]?"
            r"(dr[iy]ers?|brush(?:es)?|towels?|bags?|rails?|soaps?|chairs?|masks?"
            r"|glasses|ties?|trains?|planes?|airplanes?|shoes?)\b"
        ),
        r"\1",
    ),
    (re.compile(r"\bclock(?:['’]s)? faces?\b"), "clock"),
    (re.compile(r"\bbod(?:y|ies) of water\b"), "water"),
    (re.compile(r"\b(long|short)[ -]hair(?:ed)?\b"), r"\1hair hair"),
)


@lru_cache(maxsize=256)
def _said(text: str) -> frozenset[str]:
    """The words of `text`; of a prompt they are asked for with every phrase."""
    text = text.lower()
    for pattern, name in _COMPOUNDS:
        text = pattern.sub(name, text)
    return frozenset(words(text))


@lru_cache(maxsize=256)
def _told(text: str) -> frozenset[str]:
    """Stems of the words of `text`."""
    return frozenset(stem(w) for w in _said(text))


def has_people(text: str) -> bool:
    """True when `text` speaks of a person, so that a face or a dress may be described."""
    return not _WELCOMING.isdisjoint(_told(text))


def adds_people(clause: str, raw: str = "") -> bool:
    """True when `clause` brings into `raw` a person or a part of one, somebody beside those who
    are there, the face of somebody far off, or makes a portrait of it."""
    own, told = _told(clause), _told(raw)
    if not has_people(raw):
        return not (_TELLTALES - told).isdisjoint(own)
    if not (_PERSONS - told).isdisjoint(own):
        return True
    framed_animal = not _ANIMALS.isdisjoint(told) and told & _WELCOMING <= _FRAMINGS
    if framed_animal and not (_HUMAN - told).isdisjoint(own):
        return True
    far_off = _NEAR_BY.isdisjoint(told) and _SCENE.search(raw.lower())
    if far_off and not (_FEATURES - told).isdisjoint(own):
        return True
    return not _FRAMINGS.isdisjoint(own) and _FRAMED.isdisjoint(told)


def is_outdoors(text: str) -> bool:
    """True when `text` has a sky over it, or something that mostly has and no furniture."""
    told = _told(text)
    if not _WITHIN.isdisjoint(told):
        return False
    if not _OUTDOORS.isdisjoint(told):
        return True
    return not _OPEN_AIR.isdisjoint(told) and _INDOORS.isdisjoint(told)


def adds_place(clause: str, raw: str) -> bool:
    """True when `clause` brings a landscape, weather or a time of day into `raw`, which is not
    outdoors."""
    return not _UNDER_A_SKY.isdisjoint(_told(clause)) and not is_outdoors(raw)


def lacks_ground(clause: str, raw: str) -> bool:
    """True when `clause` lets something grow, or be cute or fierce, and nothing in `raw` could."""
    own, told = _told(clause), _told(raw)
    return any(not what.isdisjoint(own) and where.isdisjoint(told) for what, where in _NEEDS)


def contradicts(clause: str, texts: Iterable[str]) -> bool:
    """True when `clause` says the opposite of what `texts` say: rain after sunshine, a painting
    after a photo. What `texts` say on both sides is no contradiction."""
    own = _said(clause)
    known = frozenset().union(*(_said(text) for text in texts))
    for sides in _OPPOSITES:
        for this, other in (sides, sides[::-1]):
            if own.isdisjoint(this) or not own.isdisjoint(other):
                continue
            if known.isdisjoint(this) and not known.isdisjoint(other):
                return True
    return False
