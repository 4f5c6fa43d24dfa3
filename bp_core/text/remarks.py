"""What is said of a prompt that nothing is added to, one line each; the hosts translate these."""

import re

NO_WORDS = "the prompt has no words to write on from"
NOTHING_NEW = "the model found nothing new that suits, within the limits; raise n or relax block"
NO_BETTER = "no rewrite scores well enough: the prompt stays as it is"
#: With the language's name, as `language.language_of` has it.
FOREIGN = (
    "the prompt seems to be in {}, and this model reads English only: the prompt stays as it is; "
    "a language model as writer can turn it into English"
)
#: With the number of its characters, and the longest that is read.
TOO_LONG = "the prompt has {} characters and stays as it is: shorten it to {} or less"
EXPRESSION = (
    "the prompt is one expression, beside which its host takes no text: it stays as it is; "
    "beautify the words inside it"
)
NO_PLACE = (
    "wherever words were added, the prompt's host would read its brackets and signs otherwise: it "
    "stays as it is; close its brackets"
)
FIXED = (NO_WORDS, NOTHING_NEW, NO_BETTER, EXPRESSION, NO_PLACE)
FILLED = (FOREIGN, TOO_LONG)


def parts(remark: str) -> list[str]:
    """A remark as the pieces that are translated and, between them, what was filled in."""
    for pattern in FILLED:
        pieces = (f"({re.escape(piece)})" for piece in pattern.split("{}"))
        if match := re.fullmatch("(.*?)".join(pieces), remark):
            return list(match.groups())
    return [remark]
