"""Small random models of pictures as one downloads them: BLIP, PickScore, the aesthetic predictor
with its CLIP, Stable Diffusion.

python -m tests.train.tiny_vision FOLDER     # all of them and a BLOOM, to try commands on
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from bp_core.models.vision import define_operators
from bp_core.score.image import AESTHETIC_HEAD, AestheticHead
from tests.train.bases import write_family

_WORDS = "a an the fox owl cat sea sky old red dim jar sun fog in on by at and".split()


def write_blip(folder: Path) -> Path:
    """A captioning BLIP of a few thousand weights; its captions are words, and hang on the
    picture."""
    define_operators()
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        PreTrainedTokenizerFast,
    )

    controls = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]"]
    vocabulary = {word: i for i, word in enumerate([*controls, *_WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[DEC]",
    )
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "projection_dim": 16}
    text = sizes | {"vocab_size": len(vocabulary), "encoder_hidden_size": 16}
    text |= {"max_position_embeddings": 64, "bos_token_id": 4, "eos_token_id": 3}
    text |= {"sep_token_id": 3, "pad_token_id": 0}
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config=sizes | {"image_size": 32, "patch_size": 8})
    model = BlipForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        # Tied to the head: large ones would say the last word again.
        torch.nn.init.normal_(parameter, std=0.3 if "word_embeddings" in name else 1.0)
    bias = model.text_decoder.cls.predictions.bias.data
    bias[: len(controls)] = -100.0
    bias[3] = 0.0  # it may end
    model.save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def write_pickscore(folder: Path) -> Path:
    """A CLIP of transformers that reads letters."""
    define_operators()
    from transformers import CLIPConfig, CLIPModel

    tokenizer = write_letters(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2}
    text = sizes | {"vocab_size": len(tokenizer), "max_position_embeddings": 77}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=text,
        vision_config=sizes | {"image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


def write_letters(folder: Path, longest: int = 77):
    """CLIP's tokenizer with a token a letter."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(97, 123)] + [","]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=longest
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_aesthetic(folder: Path) -> Path:
    """A folder of open_clip's, and the head in LAION's file beside it."""
    define_operators()
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
    config = {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text}
    about = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    torch.manual_seed(1)
    clip = open_clip.CLIP(**config)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    head = AestheticHead(12)
    with torch.no_grad():  # spread as LAION's are, around 5
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        head.layers[-1].bias.fill_(5.0)
        head.layers[-1].weight.mul_(0.01)
    torch.save(head.state_dict(), folder / AESTHETIC_HEAD)
    return folder


def write_diffusion(folder: Path, window: int = 12) -> Path:
    """A Stable Diffusion of a few thousand weights, as a folder of diffusers."""
    tiny_pipeline(folder / "tokenizer", window).save_pretrained(folder)
    return folder


def tiny_pipeline(tokens: Path, window: int = 12):
    """A Stable Diffusion of a few thousand random weights for 16 px pictures.

    Args:
        tokens: folder for the tokenizer's files.
        window: tokens that the text encoder reads at a time.
    """
    define_operators()
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = write_letters(tokens, window)
    torch.manual_seed(0)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=window,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    )
    scheduler = diffusers.EulerAncestralDiscreteScheduler()
    return diffusers.StableDiffusionPipeline(
        vae, text.eval(), tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )


def write_all(folder: Path) -> Path:
    write_blip(folder / "blip")
    write_pickscore(folder / "pickscore")
    write_aesthetic(folder / "aesthetic")
    write_diffusion(folder / "diffusion")
    write_family(folder / "bloom", "bloom")
    return folder


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
