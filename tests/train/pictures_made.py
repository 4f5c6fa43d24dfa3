"""Picture files as seven image generators write them, made for tests: small, of one colour, and
valid.

python -m tests.train.pictures_made FOLDER     # twenty of each program's, to try collect.py on
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIZE = (96, 64)


def png(path: Path, alpha: str = "", **texts: str) -> Path:
    """A PNG with text chunks, and text in its alpha channel as NovelAI hides it."""
    shade = _shade(path)
    info = PngInfo()
    for key, value in texts.items():
        key = key.replace("__", "-")
        info.add_itxt(key, value) if not value.isascii() else info.add_text(key, value)
    image = Image.new("RGBA" if alpha else "RGB", SIZE, (*shade, 128) if alpha else shade)
    if alpha:
        data = gzip.compress(alpha.encode())
        payload = b"stealth_pngcomp" + (8 * len(data)).to_bytes(4, "big") + data
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))
        pixels = np.array(image)
        plane = np.full(SIZE[0] * SIZE[1], 254, np.uint8)
        plane[: len(bits)] |= bits
        pixels[:, :, 3] = plane.reshape(SIZE).T  # down the columns
        image = Image.fromarray(pixels)
    image.save(path, pnginfo=info)
    return path


def _shade(path: Path) -> tuple[int, ...]:
    """A colour of the picture's own, so that models see different ones."""
    return tuple(hashlib.sha256(path.name.encode()).digest()[:3])


def with_exif(path: Path, comment: bytes = b"", **fields: str) -> Path:
    """A JPEG or WebP with EXIF: UserComment, and fields by the names of `ExifTags`."""
    from PIL import ExifTags

    exif = Image.Exif()
    for name, value in fields.items():
        exif[ExifTags.Base[name]] = value
    if comment:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    Image.new("RGB", SIZE, _shade(path)).save(path, exif=exif)
    return path


def user_comment(text: str, order: str = "be") -> bytes:
    """As piexif writes it (big endian), or others."""
    return b"UNICODE\0" + text.encode(f"utf-16-{order}")


def infotext(prompt: str, negative: str = "lowres, blurry", more: str = "") -> str:
    lines = [prompt] if prompt else []
    lines += [f"Negative prompt: {negative}"] if negative else []
    size = f"Size: 512x512, Model hash: 6ce0161689, Model: v1-5{', ' * bool(more)}{more}"
    return "\n".join([*lines, f"Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, {size}"])


def graph(positive: str | list = "a fox, oil", **nodes: dict) -> dict:
    """ComfyUI's text-to-image graph, with further nodes by id."""
    plain = {
        "3": node("KSampler", positive=["6", 0], negative=["7", 0], latent_image=["5", 0], seed=1),
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=512, batch_size=1),
        "6": node("CLIPTextEncode", text=positive, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="lowres, blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }
    return plain | {i.removeprefix("n"): n for i, n in nodes.items()}


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def novelai(prompt: str, **fields) -> dict[str, str]:
    comment = {"prompt": prompt, "steps": 28, "uc": "lowres", "sampler": "k_euler"} | fields
    said = {"Title": "NovelAI generated image", "Description": prompt, "Software": "NovelAI"}
    return said | {"Source": "NovelAI Diffusion V4", "Comment": json.dumps(comment)}


def xmp(comment: str) -> str:
    from xml.sax.saxutils import escape

    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/"><exif:UserComment><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{escape(comment)}</rdf:li></rdf:Alt></exif:UserComment>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def write_all(folder: Path, count: int = 20) -> Path:
    """Pictures of every program, `count` each, whose prompts a pair can be made of."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    things = "fox lighthouse castle robot garden ship teapot owl bridge dragon".split()
    places = ["on a hill", "in the snow", "by the sea", "in an old library", "under a bridge"]
    moods = "soft warm cold misty golden silver gentle ancient quiet bright stormy dusty".split()
    nouns = "glow river meadow cloud shadow tower valley mirror lantern rain stone moss".split()
    media = ["oil painting", "film photograph", "watercolour", "ink drawing", "concept art"]

    def subject() -> str:
        return f"a {rng.choice(moods)} {rng.choice(things)} {rng.choice(places)}"

    def prompt(raw: str = "") -> str:
        phrases = [f"{rng.choice(moods)} {rng.choice(nouns)}" for _ in range(5)]
        return ", ".join([raw or subject(), *phrases, rng.choice(media)])

    for i in range(count):
        png(folder / f"a1111_{i}.png", parameters=infotext(prompt()))
        raw = subject()
        more = f"Beautify original: {raw}"
        with_exif(folder / f"a1111_{i}.jpg", user_comment(infotext(prompt(raw), more=more), "le"))
        png(folder / f"comfyui_{i}.png", prompt=json.dumps(graph(prompt())))
        said = {"prompt": prompt(), "full_prompt": [prompt()], "metadata_scheme": "fooocus"}
        png(folder / f"fooocus_{i}.png", parameters=json.dumps(said))
        said = {"positive_prompt": prompt(), "negative_prompt": "blurry"}
        png(folder / f"invokeai_{i}.png", invokeai_metadata=json.dumps(said))
        said = {"sui_image_params": {"prompt": prompt(), "seed": i}}
        with_exif(folder / f"swarm_{i}.webp", user_comment(json.dumps(said)))
        png(folder / f"novelai_{i}.png", alpha=json.dumps(novelai(prompt())))
        said = {"c": prompt(), "uc": "blurry", "sampler": "DPM++", "steps": 20}
        png(folder / f"drawthings_{i}.png", **{"XML:com.adobe.xmp": xmp(json.dumps(said))})
    return folder


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
