"""Each family of image models gets the dialect that it was taught, whatever the host calls it."""

from __future__ import annotations

import pytest

from bp_core.text.image_model import ImageModel, dialect_for, naming, room

# Text encoders as their hosts name them, class, file -> dialect.
FAMILIES = [
    # ComfyUI: children of the CLIP object, whose class it is.
    ("clip_l", "SD1ClipModel", "", "tags"),
    ("clip_h", "SD2ClipModel", "", "tags"),
    ("clip_l clip_g", "SDXLClipModel", "juggernautXL.safetensors", "tags"),
    ("clip_g", "StableCascadeClipModel", "", "tags"),
    ("clip_l clip_g", "SDXLClipModel", "xl/ponyDiffusionV6XL.safetensors", "booru"),
    ("clip_l clip_g t5xxl", "SD3ClipModel_", "", "prose"),
    ("clip_l clip_g", "SD3ClipModel_", "", "prose"),
    ("clip_l t5xxl", "FluxClipModel_", "", "prose"),
    ("mistral3_24b", "Flux2TEModel_", "", "prose"),
    ("qwen3_4b", "KleinTEModel_", "", "prose"),
    ("t5xxl", "PixArtTEModel_", "", "prose"),  # Chroma, too
    ("hydit_clip mt5xl", "HyditModel", "", "prose"),
    ("pile_t5xl", "AuraT5Model", "ponyV7.safetensors", "prose"),
    ("gemma2_2b", "LuminaTEModel_", "", "prose"),
    ("qwen25_7b", "QwenImageTEModel_", "", "prose"),
    ("qwen25_7b byt5_small", "HunyuanImageTEModel_", "", "prose"),
    ("clip_l llama", "HunyuanVideoClipModel_", "", "prose"),
    ("umt5xxl", "WanTEModel", "", "prose"),
    ("clip_l clip_g t5xxl llama", "HiDreamTEModel_", "", "prose"),
    ("qwen3_4b", "ZImageTEModel_", "", "prose"),
    ("gemma jina", "NewBieTEModel_", "", "prose"),
    ("qwen3_06b", "AnimaTEModel_", "", "booru"),
    # Forge and Forge Neo: names in the engine's text encoder.
    ("clip_l t5xxl", "Flux", "flux1-dev.safetensors", "prose"),
    ("t5xxl", "Chroma", "", "prose"),
    ("qwen3", "ZImage", "", "prose"),
    ("qwen25_7b", "QwenImage", "", "prose"),
    ("clip_l clip_g", "StableDiffusionXL", "waiNSFWIllustrious_v150.safetensors", "booru"),
    # SD.Next: classes of a diffusers pipeline's encoders.
    ("CLIPTextModel", "StableDiffusionPipeline", "dreamshaper_8", "tags"),
    ("CLIPTextModel CLIPTextModelWithProjection", "StableDiffusionXLPipeline", "noobaiXL", "booru"),
    ("CLIPTextModel", "AnimateDiffPipeline", "", "tags"),
    ("Qwen2_5_VLForConditionalGeneration", "QwenImagePipeline", "", "prose"),
    ("T5EncoderModel", "ChromaPipeline", "", "prose"),
    # AUTOMATIC1111.
    ("clip", "DiffusionEngine", "animagineXL40.safetensors", "booru"),
    ("", "SD3Inferencer", "", "prose"),
    # Not loaded yet: the name is all there is.
    ("", "", "flux1-dev-bnb-nf4.safetensors", "prose"),
    ("", "", "sd3.5_large.safetensors", "prose"),
    ("", "", "sd35_medium.safetensors", "prose"),
    ("", "", "z_image_turbo.safetensors", "prose"),
    ("", "", "prefectPonyXL.safetensors", "booru"),
    ("", "", "ponytail-photos.safetensors", None),
    ("", "", "", None),
]


@pytest.mark.parametrize(("encoders", "kind", "name", "dialect"), FAMILIES)
def test_a_family_gets_its_dialect(encoders, kind, name, dialect):
    model = ImageModel(tuple(encoders.split()), kind, (name,) if name else ())
    assert model.dialect == dialect


def test_metadata_tells_what_a_file_was_made_from():
    metadata = {"ss_sd_model_name": "Illustrious-XL-v1.0", "ss_tag_frequency": {"pony": 3}}
    assert list(naming(metadata)) == ["Illustrious-XL-v1.0"]
    model = ImageModel(("clip_l", "clip_g"), "", ("mine.safetensors", *naming(metadata)))
    assert model.dialect == "booru"


def test_tags_of_danbooru_get_more_of_them_where_the_model_may_know_them():
    xl = ImageModel(("clip_l", "clip_g"))
    assert dialect_for("1girl, solo, long hair", xl) == "booru"
    assert dialect_for("a girl with long hair", xl) == "tags"
    assert dialect_for("A girl with long hair walks home.", xl) == "tags"
    assert dialect_for("1girl, solo", ImageModel(("t5xxl",))) == "prose"


def test_without_a_known_model_the_prompt_decides():
    assert dialect_for("a cat", None) == dialect_for("a cat", ImageModel()) == "auto"


def test_one_chunk_is_no_limit_for_sentences():
    assert room(75, "tags") == room(75, "auto") == 75
    assert room(75, "prose") is room(0, "tags") is None
    assert room(150, "prose") == 150


def test_the_reason_names_what_told():
    assert ImageModel(("clip_l", "t5xxl"), "", ("flux.safetensors",)).reason == "clip_l, t5xxl"
    pony = ImageModel(("clip_l", "clip_g"), "", ("pony.safetensors", "Pony"))
    assert pony.reason == "pony.safetensors"
    assert ImageModel((), "", ("flux.safetensors",)).reason == "flux.safetensors"
