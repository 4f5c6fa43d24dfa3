"""For tests: fills in {a|b} by the image's seed, when and where sd-dynamic-prompts does it."""

import random
import re

from modules import scripts


class Variants(scripts.Script):
    def title(self):
        return "Variants"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p):
        p.all_prompts = [
            _filled(text, seed) for text, seed in zip(p.all_prompts, p.all_seeds, strict=True)
        ]


def _filled(text, seed):
    choose = random.Random(seed)
    return re.sub(r"\{([^{}]*)\}", lambda found: choose.choice(found[1].split("|")), text)
