"""What a picture file carries as text: PNG chunks, EXIF, XMP, and the lowest bits of its pixels.

PNG         tEXt, zTXt and iTXt chunks by their keyword; EXIF and XMP as below
JPEG, WebP  EXIF: UserComment with its eight bytes of encoding, and any text field
XMP         exif:UserComment
pixels      "stealth_pngcomp" and its kin: NovelAI hides its text in the alpha channel, down the
            columns, a bit a pixel, gzip behind a length in bits; others in the colours
"""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from bp_core.errors import BeautifulPromptError

USER_COMMENT, MAKE, MODEL, DESCRIPTION, SOFTWARE = 0x9286, 0x010F, 0x0110, 0x010E, 0x0131
_EXIF_IFD = 0x8769
_FIELDS = {DESCRIPTION: "ImageDescription", SOFTWARE: "Software", MAKE: "Make", MODEL: "Model"}
_MAGIC = len("stealth_pngcomp")
_MOST = 16 * 2**20  # bytes of hidden text


class Unreadable(BeautifulPromptError):
    """A file that is no whole picture."""


def texts_of(path: Path) -> dict[str, str]:
    """Every text in a picture by its key: PNG keywords, "UserComment", names of EXIF fields,
    "xmp UserComment", and "hidden".

    Raises:
        Unreadable: it is no whole picture.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF, and of big pictures
            with Image.open(path) as image:
                image.load()  # text may stand behind the pixels
                found = {k: v for k, v in image.info.items() if isinstance(v, str)}
                found |= {k: v for k, v in _exif(image).items() if v}
                found |= _xmp(image.info.get("XML:com.adobe.xmp") or image.info.get("xmp"))
                if hidden := _hidden(image):
                    found["hidden"] = hidden
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        line = (str(error) or type(error).__name__).splitlines()[0]
        raise Unreadable(f"{path} cannot be read ({line}): it is left out") from error
    return found


def _exif(image) -> dict[str, str]:
    exif = image.getexif()
    found = {name: _text(exif.get(tag)) for tag, name in _FIELDS.items()}
    # Some writers put it outside of the block where it belongs.
    comment = exif.get_ifd(_EXIF_IFD).get(USER_COMMENT) or exif.get(USER_COMMENT)
    found["UserComment"] = user_comment(comment) if isinstance(comment, bytes) else _text(comment)
    # ComfyUI's WebP: camera makers and models as "workflow:{…}" and "prompt:{…}".
    for tag in sorted(exif, reverse=True):
        key, _, value = _text(exif.get(tag)).partition(":")
        if key.lower() in ("prompt", "workflow", "beautifulprompt") and value.lstrip()[:1] == "{":
            found.setdefault(key.lower(), value)
    return found


def _text(value) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.strip("\0 ") if isinstance(value, str) else ""


def user_comment(value: bytes) -> str:
    """EXIF's UserComment: eight bytes that say how it is encoded, then the text.

    "UNICODE" means UTF-16, in either byte order: writers heed neither the file's nor each other's.
    """
    code, body = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        return _utf16(body)
    if code in (b"ASCII\0\0\0", b"\0" * 8, b"JIS\0\0\0\0\0"):
        value = body
    return value.decode("utf-8", "replace").strip("\0 ")


def _utf16(body: bytes) -> str:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace").strip("\0 ")
    # Infotext has blanks, commas and colons in any language: they tell the byte order.
    texts = [body.decode(f"utf-16-{order}", "replace") for order in ("be", "le")]
    return max(texts, key=lambda text: sum(c in " ,:.\n" for c in text)).strip("\0 ")


def _xmp(value) -> dict[str, str]:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or "UserComment" not in value:
        return {}
    start, end = value.find("<"), value.rfind(">")
    try:
        root = ElementTree.fromstring(value[start : end + 1])
    except ElementTree.ParseError:
        return {}
    for element in root.iter():
        if element.tag.endswith("}UserComment"):
            return {"xmp UserComment": "".join(element.itertext()).strip()}
    return {}


def _hidden(image) -> str:
    """Text in the lowest bits of alpha, or of the colours; "" where there is none."""
    if image.mode not in ("RGBA", "RGB"):
        return ""
    pixels = np.asarray(image)
    planes = (pixels[:, :, 3:], pixels[:, :, :3]) if image.mode == "RGBA" else (pixels,)
    for plane in planes:
        bits = (plane.transpose(1, 0, 2) & 1).reshape(-1)
        if len(bits) < 8 * _MAGIC + 32:
            continue
        magic = np.packbits(bits[: 8 * _MAGIC]).tobytes()
        if not magic.startswith(b"stealth_") or magic[8:11] not in (b"png", b"rgb"):
            continue
        at = 8 * _MAGIC + 32
        length = int.from_bytes(np.packbits(bits[8 * _MAGIC : at]).tobytes(), "big")
        data = np.packbits(bits[at : at + min(length, 8 * _MOST)]).tobytes()
        if magic.endswith(b"comp"):
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error):
                return ""
        return data.decode("utf-8", "replace")
    return ""


def json_in(text: str) -> dict:
    """A JSON object in a text; {} where there is none."""
    try:
        value = json.loads(text) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}
