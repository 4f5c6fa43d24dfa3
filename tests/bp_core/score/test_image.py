"""image_score.py on tiny random CLIPs: the published formulas, batching, and bad images."""

import json

import pytest
import torch

from bp_core.errors import InputError, ModelError
from bp_core.score.image import (
    AESTHETIC_HEAD,
    AestheticHead,
    AestheticScore,
    HpsScore,
    PickScore,
    open_image,
    pixel_values,
    to_pil,
)

Image = pytest.importorskip("PIL.Image")

PROMPTS = ["a cat", "a dog on the moon", "fog"]


def pictures(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for width, height in sizes or ((48, 48), (50, 31), (20, 64)):
        noise = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
        out.append(Image.fromarray(noise.numpy()))
    return out


@pytest.fixture(scope="module")
def pick_folder(tmp_path_factory):
    """A PickScore of random weights, as a folder."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("pick")
    letters = [chr(c) for c in range(97, 123)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt")
    ).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        text_config={
            **sizes,
            "num_attention_heads": 2,
            "vocab_size": len(tokens),
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        vision_config={**sizes, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip():
    """A CLIP of open_clip's with random weights."""
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(1)
    return open_clip.CLIP(
        embed_dim=12,
        vision_cfg={"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    ).eval()


def aesthetic(clip):
    torch.manual_seed(2)
    return AestheticScore(clip, AestheticHead(12).eval())


def hps(clip):
    return HpsScore(clip, pytest.importorskip("open_clip").get_tokenizer("ViT-H-14"))


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_pixels_are_those_of_open_clip(fit):
    open_clip = pytest.importorskip("open_clip")
    mode = {"crop": "shortest", "pad": "longest"}[fit]
    transform = open_clip.image_transform(32, is_train=False, resize_mode=mode)
    images = pictures((48, 48), (50, 31), (20, 64), (32, 32), (32, 200), (33, 32))
    expected = torch.stack([transform(image) for image in images])
    assert torch.allclose(pixel_values(images, 32, fit), expected, atol=1e-5)


def test_pickscore_is_the_published_formula(pick_folder):
    from transformers import AutoModel, AutoTokenizer

    scorer = PickScore.load(pick_folder)
    model, tokenizer = AutoModel.from_pretrained(pick_folder).eval(), AutoTokenizer
    tokens = tokenizer.from_pretrained(pick_folder)(PROMPTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        out = model(pixel_values=pixel_values(pictures(), 32), **tokens)
    # The model card: logit scale times the cosines, of which each image's own prompt counts.
    found = scorer.score(pictures(), PROMPTS)
    assert torch.allclose(found, out.logits_per_image.diagonal(), atol=1e-5)


def test_the_aesthetic_score_is_the_published_formula(clip):
    scorer = aesthetic(clip)
    weights = [m for m in scorer.head.layers if isinstance(m, torch.nn.Linear)]
    with torch.inference_mode():
        x = clip.encode_image(pixel_values(pictures(), 32))
        x = x / x.norm(dim=-1, keepdim=True)
        for linear in weights:
            x = x @ linear.weight.T + linear.bias
    assert torch.allclose(scorer.score(pictures()), x.squeeze(-1), atol=1e-5)


def test_hps_is_the_published_formula(clip):
    open_clip = pytest.importorskip("open_clip")
    ids = open_clip.get_tokenizer("ViT-H-14")(PROMPTS)
    with torch.inference_mode():
        out = clip(pixel_values(pictures(), 32, "pad"), ids)
    expected = (out[0] @ out[1].T).diagonal()
    assert torch.allclose(hps(clip).score(pictures(), PROMPTS), expected, atol=1e-5)


def test_batches_and_tensors_score_as_single_images(pick_folder, clip):
    images = pictures(*[(40, 40)] * 40)
    prompts = [f"{'abcdefgh'[i % 8]} cat" for i in range(40)]
    tensor = torch.stack(
        [torch.frombuffer(bytearray(i.tobytes()), dtype=torch.uint8).view(40, 40, 3) / 255
         for i in images]
    )  # fmt: skip
    for scorer in (PickScore.load(pick_folder), aesthetic(clip), hps(clip)):
        found = scorer.score(images, prompts)
        assert found.shape == (40,) and found.dtype == torch.float32
        assert torch.allclose(scorer.score(tensor, prompts), found, atol=1e-5)
        for i in (0, 33, 39):
            assert torch.allclose(
                scorer.score([images[i]], [prompts[i]])[0], found[i], atol=1e-5, rtol=1e-5
            )
        assert scorer.score([], []).shape == (0,)


def test_the_aesthetic_head_loads_its_published_layout(clip, tmp_path, monkeypatch):
    from bp_core.score import image as image_score

    monkeypatch.setattr(image_score, "_open_clip", lambda *_: clip)
    head = AestheticHead(12)
    torch.save(head.state_dict(), tmp_path / AESTHETIC_HEAD)
    assert list(head.state_dict())[-1] == "layers.7.bias"
    scorer = AestheticScore.load(tmp_path)
    assert torch.equal(scorer.head.layers[7].weight, head.layers[7].weight)
    (tmp_path / AESTHETIC_HEAD).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="download it again"):
        AestheticScore.load(tmp_path)
    torch.save({"layers.0.weight": torch.zeros(3, 12)}, tmp_path / AESTHETIC_HEAD)
    with pytest.raises(ModelError, match="another model"):
        AestheticScore.load(tmp_path)
    with pytest.raises(ModelError, match="is missing"):
        AestheticScore.load(tmp_path / "elsewhere.pth")


def test_missing_models_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="PickScore cannot be loaded"):
        PickScore.load(tmp_path)


def test_an_image_that_is_none_is_told(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    for path in (tmp_path / "a.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(InputError, match="not a readable image"):
            open_image(path)
    pictures()[0].convert("RGBA").save(tmp_path / "b.png")
    assert open_image(tmp_path / "b.png").mode == "RGB"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 8, 8, 3), float("nan")), "NaN"),
        (torch.full((1, 8, 8, 3), float("inf")), "NaN or infinite"),
        (torch.full((1, 8, 8, 3), 200.0), "divide"),
        (torch.zeros(8, 8, 3), "give floats"),
        (torch.zeros(1, 3, 8, 8), "give floats"),
        (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), "give floats"),
        (["cat.png"], "PIL"),
    ],
)
def test_bad_pixels_are_told(images, message):
    with pytest.raises(InputError, match=message):
        to_pil(images)


@pytest.mark.parametrize("prompts", [None, ["a"], ["a", "b", " "]])
def test_prompts_must_be_there_and_say_something(pick_folder, prompts):
    with pytest.raises(InputError, match="prompt"):
        PickScore.load(pick_folder).score(pictures(), prompts)
