"""Phrases that a model must not add: names of people and of their works, NSFW terms, words of
negative prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

from ..errors import InputError
from ..text.words import words

# The artists named most often in shared prompts; a surname alone where nobody else is meant.
_ARTISTS = """
greg rutkowski, rutkowski, artgerm, stanley lau, stanley artgerm lau, alphonse mucha, mucha, wlop,
loish, ilya kuvshinov, kuvshinov, ross tran, rossdraws, krenz cushart, cushart, beeple, mike,
winkelmann, makoto shinkai, shinkai, sakimichan, sakimi chan, guweiz, charlie bowater, magali,
villeneuve, tom bagshaw, rhads, james jean, james gurney, john howe, alan lee, donato giancola,
craig mullins, mullins, feng zhu, sparth, syd mead, simon stalenhag, jakub rozalski, marc,
simonetti, noah bradley, peter mohrbacher, mohrbacher, zdzislaw beksinski, beksinski, hr giger, h,
r giger, giger, wayne barlowe, moebius, jean giraud, frank frazetta, frazetta, boris vallejo,
julie bell, brom, gerald brom, michael whelan, brian froud, arthur rackham, rackham, edmund dulac,
gustave dore, ivan shishkin, shishkin, ivan aivazovsky, aivazovsky, ilya repin, isaac levitan,
albert bierstadt, bierstadt, thomas cole, frederic edwin church, thomas kinkade, kinkade, bob,
ross, thomas moran, caspar david friedrich, john constable, jmw turner, j m w turner, william,
turner, john singer sargent, singer sargent, anders zorn, joaquin sorolla, sorolla, bouguereau,
william adolphe bouguereau, john william waterhouse, lawrence alma tadema, alma tadema, dante
gabriel rossetti, rossetti, john everett millais, edward burne jones, gustav, klimt, egon schiele,
edvard munch, vincent van gogh, van gogh, claude monet, monet, edgar, degas, renoir, paul cezanne,
cezanne, henri matisse, matisse, pablo picasso, picasso, salvador, dali, rene magritte, magritte,
max ernst, joan miro, wassily kandinsky, kandinsky, paul klee, piet, mondrian, jackson pollock,
mark rothko, rothko, andy warhol, warhol, basquiat, keith, haring, roy lichtenstein, banksy,
shepard fairey, frida kahlo, georgia o'keeffe, edward hopper, norman rockwell, jc leyendecker, j c
leyendecker, leyendecker, dean cornwell, gil elvgren, elvgren, alberto vargas, mc escher, m c
escher, escher, albrecht durer, hieronymus bosch, pieter, bruegel, rembrandt, caravaggio, johannes
vermeer, vermeer, michelangelo, leonardo da, vinci, da vinci, raphael sanzio, botticelli, titian,
peter paul rubens, diego velazquez, francisco, goya, jacques louis david, eugene delacroix,
katsushika hokusai, hokusai, hiroshige, utagawa, kuniyoshi, yoshitaka amano, amano, hayao
miyazaki, miyazaki, katsuhiro otomo, hirohiko araki, junji ito, kentaro miura, naoko takeuchi,
akira toriyama, toriyama, yoji shinkawa, takashi, murakami, yayoi kusama, range murata, kawacy,
redjuice, bayard wu, ruan jia, ruanjia, fenghua, zhong, wenjun lin, yuumei, cedric peyravernay,
dan mumford, mumford, dan witz, android jones, alex, grey, amanda sage, victo ngai, tyler edlin,
anato finnstark, finnstark, sachin teng, tomer hanuka, tomasz alen kopera, kopera, hans thoma,
ernst haeckel, haeckel, carl spitzweg, karol bak, brooke, shaden, annie leibovitz, leibovitz,
steve mccurry, mccurry, ansel adams, david lachapelle, tim, walker, gregory crewdson, roger
deakins, wes anderson, tim burton, ridley scott, stanley kubrick, quentin tarantino, zack snyder,
guillermo del toro, denis villeneuve, george lucas, steven, spielberg, mike mignola, mignola, jim
lee, jack kirby, alex ross, frank miller, jamie hewlett, bill sienkiewicz, enki bilal, bilal, milo
manara, skottie young, mark ryden, mark brooks, jeremy, lipking, jeremy mann, casey baugh, rob
gonsalves, jacek yerka, yerka, vladimir kush, rafal olbinski, tadao ando, zaha hadid, frank gehry,
antoni gaudi, gaston bussiere, bussiere, leonid afremov, afremov, lois van baarle, lisa frank, dr
seuss, beatrix potter, bill watterson, edward gorey, ralph steadman, ralph mcquarrie, mcquarrie,
ron cobb, john berkey, chris foss, john, harris, jim burns, bruce pennington, vincent di fate,
robert mcginnis, drew struzan, struzan, ian, mcque, raymond swanland, greg hildebrandt, tim
hildebrandt, larry elmore, jesper ejsing, clint, cearley, seb mckinnon, terese nielsen, rebecca
guay, kev walker, karl kopinski, kim jung gi, katsuya terada, shohei otomo, hiroya oku, ashley
wood, phil hale, sergey kolesov, eddie mendoza, maciej kuciara, raphael lacoste, jordan grimmer,
jonas de ro, andreas rocha, dylan cole, mandy, jurgens, irakli nadar, astri lohne, nikolai
roerich, kuindzhi, vrubel, ayami kojima, andrei riabovitchev, stephen bliss, ferdinand knab,
akihiko yoshida, alexander mcqueen, michael garmash, adrian ghenie, hajime sorayama, sorayama,
james gilleard, atey ghailan, francis bacon, tom lovell, huang guangjian, jean delville, greg
staples, tooth wu, roger dean, conrad roset, kilian eng, jeff easley, wayne reynolds, jean
baptiste monge, takato yamamoto, masamune shirow, alena aenami, carne griffiths, ismail inceoglu,
sandra chevrier, esao andrews, anton pieck, gediminas pranckevicius, paul lehr, noriyoshi ohrai,
john william godward, josan gonzalez, peter elson, barclay shaw, yue minjun, chris riddell,
francoise nielly, hans dahl, greg manchess, greg tocchini, kaethe butcher, frank stella, maxim
verehin
"""
_PEOPLE = """
emma watson, scarlett johansson, gal gadot, ana de armas, margot robbie, natalie portman, emma
stone, jennifer lawrence, angelina jolie, megan fox, zendaya, anya taylor joy, elle fanning,
dakota johnson, emilia clarke, kristen stewart, keira knightley, jennifer connelly, alexandra
daddario, sydney sweeney, florence pugh, billie eilish, taylor swift, ariana grande, selena gomez,
rihanna, beyonce, lady gaga, dua lipa, katy perry, britney spears, shakira, kim kardashian,
kardashian, paris hilton, marilyn monroe, audrey hepburn, tom cruise, brad pitt, leonardo
dicaprio, dicaprio, johnny depp, keanu reeves, ryan gosling, ryan reynolds, robert downey jr,
chris hemsworth, chris evans, henry cavill, will smith, morgan freeman, nicolas cage, arnold
schwarzenegger, schwarzenegger, sylvester stallone, dwayne johnson, danny devito, steve buscemi,
jack black, jim carrey, robert pattinson, timothee chalamet, pedro pascal, willem dafoe, idris
elba, bryan cranston, michael jackson, elvis presley, freddie mercury, david bowie, kanye west,
snoop dogg, eminem, justin bieber, cristiano ronaldo, lionel messi, donald trump, trump, joe
biden, biden, barack obama, obama, hillary clinton, bill clinton, bernie sanders, george w bush,
vladimir putin, putin, zelensky, boris johnson, angela merkel, merkel, emmanuel macron, macron, xi
jinping, kim jong un, queen elizabeth, adolf hitler, hitler, stalin, elon musk, jeff bezos, mark
zuckerberg, zuckerberg, bill gates, steve jobs, greta thunberg, joe rogan
"""
# Worlds and studios: somebody else's, and a style only of their own pictures.
_WORKS = """
star wars, star trek, marvel, dc comics, harry potter, hogwarts, lord of the rings, middle earth,
game of thrones, blade runner, jurassic park, ghostbusters, transformers, disney, pixar,
dreamworks, ghibli, studio trigger, looney tunes, simpsons, rick and morty, adventure time,
pokemon, digimon, yugioh, yu gi oh, dragon ball, naruto, one piece, evangelion, sailor moon, ghost
in the shell, akira, overwatch, warcraft, world of warcraft, hearthstone, starcraft, diablo, league
of legends, dota, fortnite, valorant, apex legends, minecraft, roblox, skyrim, elder scrolls,
elden ring, dark souls, bloodborne, sekiro, fallout 4, witcher, cyberpunk 2077, mass effect, halo
infinite, bioshock, borderlands, dishonored, metal gear, resident evil, silent hill, final
fantasy, legend of zelda, zelda, super mario, animal crossing, street fighter, mortal kombat, god
of war, assassin's creed, genshin, genshin impact, warhammer, warhammer 40k, dungeons and dragons,
magic the gathering, world of darkness, gta, gta v, grand theft auto
"""
_NSFW = """
nsfw, nude, nudes, nudity, nudist, naked, topless, bottomless, undressed, undressing, unclothed,
bare breasts, breast, breasts, boob, boobs, tits, busty, bosom, cleavage, nipple, nipples, areola,
buttocks, butt, ass, thong, panties, lingerie, underwear, bra, bikini, see through clothes,
genital, genitals, genitalia, penis, dick, phallus, testicles, vagina, pussy, vulva, labia,
clitoris, pubic, crotch, cameltoe, upskirt, sex, sexual, sexually, sexy, sexiest, sensual,
seductive, seductively, erotic, erotica, eroticism, porn, porno, pornographic, pornhub, hentai,
ecchi, lewd, r18, xxx, x rated, onlyfans, playboy, fetish, bdsm, bondage, dominatrix, orgasm,
ahegao, cum, semen, masturbating, masturbation, intercourse, blowjob, fellatio, orgy, milf, loli,
lolita, shota, rape, incest, voluptuous, curvaceous, gore, gory, gorey, dismembered,
dismemberment, decapitated, beheaded, mutilated, mutilation, disemboweled, entrails
"""
# Negative prompts have leaked into the prompts that models learn from.
_POOR = """
low quality, lowest quality, low resolution, low res, lowres, low detail, worst quality, bad
quality, poor quality, normal quality, bad anatomy, bad proportions, bad hands, bad art, poorly
drawn, jpeg artifacts, compression artifacts, blurry, deformed, disfigured, mutated, malformed,
extra limbs, extra fingers, extra arms, extra legs, missing fingers, missing arms, fused fingers,
watermark, watermarked, signature, out of frame, cropped, error, ugly
"""
# "by X" credits somebody when it opens a phrase or follows a word for a work or its making;
# "lit by candles", "surrounded by trees", "by the sea" do not.
_CREDIT = re.compile(
    r"(?:^|(?<=[,;.])|\b(?:art|artwork|paint|illustrat|draw|sketch|photo|picture|poster|cover|comic"
    r"|render|design|concept|portrait|creat|made|direct|style|film|movie|work)\w*)\s*"
    r"\bby\s+(?!(?:the|an?|its|his|her|their|my|our|day|night|hand|side)\b"
    r"|octane|unreal|blender|(?:candle|moon|sun|star|fire|lamp|torch|lantern)\w*)"
    r"|\b(?:style|manner|vein|spirit)s?\s+of\s|\binspired\s+by\s|\band\s+by\s",
    re.IGNORECASE,
)
_NAME_END = re.compile(r"[,;.|]|$")


def _terms(text: str) -> Iterator[tuple[str, ...]]:
    for term in text.replace("\n", " ").split(","):
        if term.strip():
            yield tuple(words(term))


_DEFAULT = frozenset(chain.from_iterable(map(_terms, (_ARTISTS, _PEOPLE, _WORKS, _NSFW, _POOR))))
_LONGEST = max(map(len, _DEFAULT))


class Blocklist:
    """Finds in a phrase what must not be added to a prompt.

    By default that is names of artists, of the famous, of worlds and studios ("overwatch"), credits
    ("by …", "in the style of …"), NSFW terms and what negative prompts are made of ("low quality");
    whole words, in any case. Names of sites and tools may be added.

    Args:
        extra: further words or phrases, or patterns between slashes ("/neon|glow/").
        allow: the artist's own prompt; what of the defaults it says itself is not blocked.

    Raises:
        InputError: a pattern of `extra` is no regular expression.
    """

    def __init__(self, extra: Iterable[str] = (), allow: str = "") -> None:
        self._patterns: list[re.Pattern] = []
        own: set[tuple[str, ...]] = set()
        for term in extra:
            term = term.strip()
            if len(term) > 2 and term.startswith("/") and term.endswith("/"):
                self._patterns.append(_compile(term))
            elif words(term):
                own.add(tuple(words(_bare(term))))
        said = words(_bare(allow))
        self._said = frozenset(said)
        self._terms = (_DEFAULT - set(_runs(said, _LONGEST))) | own
        self._longest = max(map(len, self._terms))

    def find(self, text: str) -> list[str]:
        """The blocked terms in `text`, lower-cased, and its credits; empty when it may be used."""
        spoken = [word.removesuffix("'s") for word in words(_bare(text))]
        found = [" ".join(run) for run in _runs(spoken, self._longest) if run in self._terms]
        for match in _CREDIT.finditer(text):
            name = text[match.end() : _NAME_END.search(text, match.end()).start()]
            if not self._said.issuperset(words(_bare(name))):
                found.append(match.group().strip().lower() + " " + name.strip().lower())
        for pattern in self._patterns:
            found += [match.group() for match in pattern.finditer(text) if match.group()]
        return list(dict.fromkeys(found))

    def clean(self, phrases: Iterable[str]) -> list[str]:
        """The phrases with nothing blocked in them."""
        return [phrase for phrase in phrases if not self.find(phrase)]


def _runs(said: list[str], longest: int) -> Iterator[tuple[str, ...]]:
    """All runs of up to `longest` neighbouring words."""
    for start in range(len(said)):
        for end in range(start + 1, min(start + longest, len(said)) + 1):
            yield tuple(said[start:end])


def _bare(text: str) -> str:
    """`text` without accents."""
    return re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))


def _compile(term: str) -> re.Pattern:
    try:
        return re.compile(term[1:-1], re.IGNORECASE)
    except re.error as error:
        raise InputError(f"blocked pattern {term} is no regular expression: {error}") from None
