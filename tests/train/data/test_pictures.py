"""Prompts in pictures: what seven programs write, and the traps in it."""

import json

import pytest
from PIL import Image

from bp_core.errors import InputError
from tests.train.pictures_made import (
    graph,
    infotext,
    node,
    novelai,
    png,
    user_comment,
    with_exif,
    xmp,
)
from train.data.pictures import Unreadable, pictures_in, read_picture

FOX = "a fox in a library, soft light"
SAMPLER = node("KSampler", positive=["6", 0], negative=["10", 0], latent_image=["5", 0])
FLUX = {
    "n3": node("SamplerCustomAdvanced", guider=["20", 0], latent_image=["5", 0]),
    "n20": node("BasicGuider", model=["4", 0], conditioning=["21", 0]),
    "n21": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
}


def comfy(path, made, **more):
    return png(path, prompt=json.dumps(made), **{k: json.dumps(v) for k, v in more.items()})


def quoted(path):
    """Values in quotes hold what looks like parameters, and a negative prompt."""
    more = 'Template: "a {fox|owl}, Steps: 3\\nNegative prompt: x", ADetailer prompt: "Steps: 9"'
    return png(path, parameters=infotext(FOX, more=more))


def fooocus(**fields):
    said = {"prompt": FOX, "full_prompt": [f"{FOX}, cinematic", "soft"], "negative_prompt": "x"}
    return json.dumps(said | {"metadata_scheme": "fooocus", "version": "Fooocus v2.5.5"} | fields)


# Tool, what it is about, how the file is made, and what is to be read: the prompt, or it and the
# original.
CASES = [
    ("A1111", "plain", lambda p: png(p, parameters=infotext(FOX)), FOX),
    ("A1111", "quoted values", quoted, FOX),
    (
        "A1111",
        "a prompt of several lines that speaks of steps",
        lambda p: png(p, parameters=infotext(f"{FOX}\nSteps: up to a door", "")),
        f"{FOX}\nSteps: up to a door",
    ),
    ("A1111", "no positive prompt", lambda p: png(p, parameters=infotext("", "lowres")), None),
    (
        "A1111",
        "JPEG, big endian",
        lambda p: with_exif(p.with_suffix(".jpg"), user_comment(infotext(FOX))),
        FOX,
    ),
    (
        "A1111",
        "WebP, little endian, not Latin",
        lambda p: with_exif(p.with_suffix(".webp"), user_comment(infotext("狐狸, 图书馆"), "le")),
        "狐狸, 图书馆",
    ),
    (
        "A1111",
        "what was typed before us",
        lambda p: png(p, parameters=infotext(FOX, more='Beautify original: "a fox, red"')),
        (FOX, "a fox, red"),
    ),
    (
        "A1111",
        "quotes that were typed",
        lambda p: png(p, parameters=infotext(FOX, more='Beautify original: "a fox"')),
        (FOX, '"a fox"'),
    ),
    ("ComfyUI", "plain", lambda p: comfy(p, graph(FOX)), FOX),
    (
        "ComfyUI",
        "ConditioningZeroOut makes the negative side of the positive prompt",
        lambda p: comfy(
            p, graph(FOX, n3=SAMPLER, n10=node("ConditioningZeroOut", conditioning=["6", 0]))
        ),
        FOX,
    ),
    (
        "ComfyUI",
        "strings joined, one of them a primitive",
        lambda p: comfy(
            p,
            graph(
                ["30", 0],
                n30=node("StringConcatenate", string_a=["31", 0], string_b="oil", delimiter=", "),
                n31=node("PrimitiveString", value="a fox"),
            ),
        ),
        "a fox, oil",
    ),
    (
        "ComfyUI",
        "wildcards filled in",
        lambda p: comfy(
            p,
            graph(
                ["30", 0],
                n30=node("ImpactWildcardProcessor", wildcard_text="__a__", populated_text=FOX),
            ),
        ),
        FOX,
    ),
    (
        "ComfyUI",
        "several encoders behind a guider",
        lambda p: comfy(
            p, graph(n6=node("CLIPTextEncodeFlux", clip_l="fox", t5xxl=FOX, clip=["4", 1]), **FLUX)
        ),
        FOX,
    ),
    (
        "ComfyUI",
        "our own node: what it wrote, and of what",
        lambda p: comfy(
            p,
            graph(["40", 0], n40=node("BeautifulPromptBeautify", text="a fox", seed=1)),
            beautifulprompt={"40": [{"text": "a fox", "prompt": FOX}]},
        ),
        (FOX, "a fox"),
    ),
    (
        "ComfyUI",
        "sides that go through a ControlNet, and a second graph that saves nothing",
        lambda p: comfy(
            p,
            {"1": node("KSampler", positive=["2", 0]), "2": node("CLIPTextEncode", text="other")}
            | graph(
                FOX,
                n3=node("KSampler", positive=["50", 0], negative=["50", 1]),
                n50=node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0]),
            ),
        ),
        FOX,
    ),
    (
        "ComfyUI",
        "WebP, in the camera's fields",
        lambda p: with_exif(
            p.with_suffix(".webp"), Make="workflow:{}", Model=f"prompt:{json.dumps(graph(FOX))}"
        ),
        FOX,
    ),
    ("Fooocus", "full_prompt is a list", lambda p: png(p, parameters=fooocus()), FOX),
    (
        "Fooocus",
        "A1111's scheme",
        lambda p: png(p, parameters=infotext(FOX), fooocus_scheme="a1111"),
        FOX,
    ),
    (
        "Fooocus",
        "JPEG, without the eight bytes",
        lambda p: with_exif(p.with_suffix(".jpg"), fooocus().encode()),
        FOX,
    ),
    (
        "InvokeAI",
        "a style prompt beside it",
        lambda p: png(
            p,
            invokeai_metadata=json.dumps({"positive_prompt": FOX, "positive_style_prompt": "oil"}),
        ),
        FOX,
    ),
    (
        "InvokeAI",
        "weights and joins",
        lambda p: png(
            p, invokeai_metadata=json.dumps({"positive_prompt": "a fox++ in (snow)1.2, red--"})
        ),
        "a fox in (snow), red",
    ),
    (
        "InvokeAI",
        "before 3.0: parts, the negative one in brackets",
        lambda p: png(
            p,
            **{
                "sd-metadata": json.dumps(
                    {"image": {"prompt": [{"prompt": "a fox [blurry]", "weight": 1.0}]}}
                )
            },
        ),
        "a fox",
    ),
    (
        "SwarmUI",
        "wildcards stand beside it",
        lambda p: png(
            p,
            parameters=json.dumps(
                {
                    "sui_image_params": {"prompt": FOX},
                    "sui_extra_data": {"original_prompt": "<random:fox,owl>"},
                }
            ),
        ),
        FOX,
    ),
    (
        "SwarmUI",
        "parts of the picture",
        lambda p: png(
            p, parameters=json.dumps({"sui_image_params": {"prompt": f"{FOX} <segment:face> eyes"}})
        ),
        FOX,
    ),
    (
        "SwarmUI",
        "WebP",
        lambda p: with_exif(
            p.with_suffix(".webp"),
            user_comment(json.dumps({"sui_image_params": {"prompt": FOX}}), "le"),
        ),
        FOX,
    ),
    ("NovelAI", "chunks", lambda p: png(p, **novelai(FOX)), FOX),
    ("NovelAI", "the pixels alone", lambda p: png(p, alpha=json.dumps(novelai(FOX))), FOX),
    (
        "NovelAI",
        "V4: people apart, weights in numbers",
        lambda p: png(
            p,
            **novelai(
                FOX,
                v4_prompt={
                    "caption": {
                        "base_caption": "1.5::night::, rain",
                        "char_captions": [{"char_caption": "girl"}],
                    }
                },
            ),
        ),
        "night, rain, girl",
    ),
    (
        "Draw Things",
        "XMP",
        lambda p: png(
            p, **{"XML:com.adobe.xmp": xmp(json.dumps({"c": FOX, "uc": "x", "sampler": "y"}))}
        ),
        FOX,
    ),
    (
        "Draw Things",
        "signs that XML has a meaning for",
        lambda p: png(
            p, **{"XML:com.adobe.xmp": xmp(json.dumps({"c": "a <fox> & owl", "sampler": "y"}))}
        ),
        "a <fox> & owl",
    ),
    (
        "Draw Things",
        "JPEG's comment, no positive prompt",
        lambda p: with_exif(
            p.with_suffix(".jpg"), b"ASCII\0\0\0" + json.dumps({"c": "", "uc": "x"}).encode()
        ),
        None,
    ),
    (
        "Draw Things",
        "JPEG's comment",
        lambda p: with_exif(
            p.with_suffix(".jpg"), b"ASCII\0\0\0" + json.dumps({"c": FOX, "uc": "x"}).encode()
        ),
        FOX,
    ),
]


@pytest.mark.parametrize(
    ("tool", "make", "want"),
    [(c[0], c[2], c[3]) for c in CASES],
    ids=[f"{c[0]}: {c[1]}" for c in CASES],
)
def test_a_picture_tells_its_positive_prompt(tmp_path, tool, make, want):
    found = read_picture(make(tmp_path / "picture.png"))
    if want is None:
        assert found is None
        return
    prompt, original = want if isinstance(want, tuple) else (want, "")
    assert (found.tool, found.prompt, found.original) == (tool, prompt, original)


def test_a_photograph_tells_none(tmp_path):
    assert (
        read_picture(with_exif(tmp_path / "a.jpg", b"ASCII\0\0\0Screenshot", Make="Canon")) is None
    )
    assert read_picture(png(tmp_path / "b.png", Software="GIMP", Comment="Created: by me")) is None


def test_broken_pictures_and_empty_folders(tmp_path):
    path = png(tmp_path / "a.png", parameters=infotext(FOX))
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(Unreadable):
        read_picture(path)
    path.write_bytes(b"not a picture")
    with pytest.raises(Unreadable):
        read_picture(path)
    assert pictures_in(tmp_path) == [path]
    path.unlink()
    (tmp_path / ".thumbs").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / ".thumbs/x.png")
    with pytest.raises(InputError, match="no PNG, JPEG or WebP"):
        pictures_in(tmp_path)
