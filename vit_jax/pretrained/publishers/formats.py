"""Every publisher's formats: how a file is recognised, which table reads it, and what its network computes."""

import logging
from collections.abc import Iterable
from functools import partial

from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.resizing import Resizing
from vit_jax.pretrained.locate import Located, read_config
from vit_jax.pretrained.publishers import (
    facebook,
    google,
    huggingface,
    huggingface_config,
    networks,
    pixels,
    swin_buffers,
    timm,
    timm_config,
    torchvision,
)
from vit_jax.pretrained.publishers.format import Format
from vit_jax.pretrained.rules import array
from vit_jax.pretrained.spelling import respelled

logger = logging.getLogger(__name__)

BUFFERS = {
    r"relative_position_index$": "computed from the window",
    r"relative_coords_table$": "computed from the window",
    r"attn_mask$": "computed from the window",
}
MASK_TOKEN = {r"^(embeddings\.)?mask_token$": "used in pre-training only"}
POOLER = {r"^pooler\.dense\.": "Hugging Face's pooler, which no classifier reads"}
CLASS_TOKEN_LAYERS = {r"^cls_pt_": "layers of its pre-training, which fine-tuning does without"}
SIMMIM = {r"^decoder\.0\.(weight|bias)$": "the decoder of its training, masked image modelling"}
NORMS_OF_MAPS = {
    r"^hidden_states_norms\.": "norms of a backbone's maps before the last, which are not normalised here",
    r"^swin\.layernorm\.": "a norm that its backbone does not compute",
}
HEAD_OF_DINO = {r"^(head\.(mlp|last_layer)|(dino|ibot)_head\.)": "the projection head of its training"}
TEXT_TOWER = {r"^(txt/|t$|b$)": "of the network of texts", r"^(?!params/)opt/(?!target/)": "of the optimizer"}

VIT_MARKS = (r"^patch_embed\.proj\.weight$", r"^blocks\.0\.norm1\.weight$")
SWIN_MARKS = (r"^patch_embed\.proj\.weight$", r"^layers\.0\.blocks\.0\.attn\.proj\.weight$")
DINOV2_MARKS = (*VIT_MARKS, r"^blocks\.0\.ls1\.gamma$", r"^mask_token$")
TIMM_BEIT = (*VIT_MARKS, r"^blocks\.0\.attn\.q_bias$")
BEIT_PRETRAINING = (*TIMM_BEIT, r"^lm_head\.weight$")
HUGGING_FACE = r"^embeddings\.patch_embeddings\.projection\.weight$"

GOOGLES_NUMERICS = dict(gelu="tanh", norm_eps=1e-6)
EPSILON_6 = dict(norm_eps=1e-6)
EPSILON_5 = dict(norm_eps=1e-5)
EPSILON_12 = dict(norm_eps=1e-12)


def preprocessor_config(located: Located, default: Preprocessing) -> Preprocessing:
    """What Hugging Face's `preprocessor_config.json` says, which stands beside `config.json`.

    Without it, it is said what is taken instead: with other mean and standard deviation a network sees other images.
    """
    processor = read_config(located.directory / "preprocessor_config.json")
    settings = huggingface_config.huggingface_preprocessing(processor, default)
    if processor is None:
        message = "%s: no preprocessor_config.json beside it, so images are prepared as %s"
        logger.warning(message, located.weights, settings)
    return settings


def with_timm_config(located: Located, default: Preprocessing) -> Preprocessing:
    """What timm's `config.json` says; where it says no mean, it is said what is taken, as for Hugging Face's."""
    config = located.config or {}
    if "mean" not in timm_config.pretrained_cfg(config):
        message = "%s: the config.json beside it says no mean and standard deviation, so images are prepared as %s"
        logger.warning(message, located.weights, default)
    return timm_config.timm_preprocessing(config, default)


hugging_face = partial(
    Format,
    "huggingface",
    preprocessing=preprocessor_config,
    class_names=huggingface_config.huggingface_class_names,
    respell=huggingface.respell,
)
timms = partial(Format, "timm", preprocessing=with_timm_config, class_names=timm_config.timm_class_names)
hugging_face_vit = partial(
    hugging_face,
    network=networks.vision_transformer,
    known=EPSILON_12,
    pixels=pixels.google,
    configured=huggingface_config.huggingface_vit,
    left_out=POOLER | MASK_TOKEN | SIMMIM | BUFFERS,
)
hugging_face_swin = partial(
    hugging_face,
    network=networks.swin_transformer,
    known=EPSILON_5,
    pixels=pixels.imagenet,
    configured=huggingface_config.huggingface_swin,
    left_out=POOLER | MASK_TOKEN | SIMMIM | BUFFERS,
)
dinov2 = partial(
    Format,
    "dinov2",
    table=timm.VIT,
    network=networks.vision_transformer,
    known=EPSILON_6,
    pixels=pixels.imagenet,
    respell=facebook.respell_dinov2,
    left_out=MASK_TOKEN | HEAD_OF_DINO,
)

beits_pretraining = partial(
    Format,
    table=timm.BEIT_PRETRAINING,
    network=networks.beit_pretraining,
    known=EPSILON_6,
    resizing=Resizing("bicubic", "geometric_cubic"),
)
beits_classifier = partial(
    Format,
    marks=TIMM_BEIT,
    table=timm.BEIT,
    network=networks.vision_transformer,
    known=EPSILON_6,
    left_out=BUFFERS | MASK_TOKEN,
    wrappers=("model", "module"),
    resizing=Resizing("bicubic", "geometric_cubic"),
)

FORMATS: tuple[Format, ...] = (
    Format(
        "google",
        (r"^embedding/kernel$", r"^Transformer/encoderblock_0/"),
        google.VIT,
        networks.vision_transformer,
        GOOGLES_NUMERICS,
        pixels.google,
        fields_in_arrays=google.fields_in_arrays,
        respell=google.respell,
        left_out=TEXT_TOWER,
        resizing=Resizing("bilinear_aligned", "bicubic"),
    ),
    # Hugging Face.
    hugging_face_swin(
        (HUGGING_FACE, r"blocks\.0\.attention\.self\.logit_scale$"),
        huggingface.SWINV2,
        known=EPSILON_5 | dict(window_rule="huggingface_v2"),
    ),
    hugging_face_swin(
        (HUGGING_FACE, r"^encoder\.layers\.0\.blocks\.0\.", r"^hidden_states_norms\."),
        huggingface.SWIN,
        known=EPSILON_5 | dict(window_rule="huggingface_backbone"),
        respell=huggingface.respell_backbone,
        left_out=NORMS_OF_MAPS | MASK_TOKEN | BUFFERS,
    ),
    hugging_face_swin((HUGGING_FACE, r"^encoder\.layers\.0\.blocks\.0\."), huggingface.SWIN),
    # Positions of the decoder, too, are resized as the grid that they are. (transformers stretches them in a row.)
    hugging_face(
        (HUGGING_FACE, r"^decoder\.decoder_embed\.weight$"),
        huggingface.MAE,
        networks.masked_autoencoder,
        EPSILON_12,
        pixels.imagenet,
        huggingface_config.huggingface_mae,
    ),
    hugging_face(
        (HUGGING_FACE, r"^lm_head\.weight$", r"lambda_1$"),
        huggingface.BEIT_PRETRAINING,
        networks.beit_pretraining,
        EPSILON_12,
        pixels.google,
        huggingface_config.huggingface_vit,
        left_out=BUFFERS,
        resizing=Resizing("bicubic", "bilinear"),
    ),
    hugging_face_vit(
        (HUGGING_FACE, r"(lambda_1|relative_position_bias_table)$"),
        huggingface.BEIT,
        resizing=Resizing("bicubic", "bilinear"),
    ),
    hugging_face_vit(
        (HUGGING_FACE, r"lambda1$", r"^embeddings\.register_tokens$"),
        huggingface.DINOV2,
        known=EPSILON_6,
        pixels=pixels.imagenet,
        resizing=Resizing("bicubic_antialias", "bicubic"),
    ),
    hugging_face_vit((HUGGING_FACE, r"lambda1$"), huggingface.DINOV2, known=EPSILON_6, pixels=pixels.imagenet),
    hugging_face_vit((HUGGING_FACE, r"^distillation_classifier\.weight$"), huggingface.DEIT, pixels=pixels.imagenet),
    hugging_face_vit(
        (HUGGING_FACE, r"^embeddings\.distillation_token$"), huggingface.DEIT_WITHOUT_TEACHER, pixels=pixels.imagenet
    ),
    hugging_face_vit((HUGGING_FACE,), huggingface.VIT),
    # torchvision.
    Format(
        "torchvision",
        (r"^conv_proj\.weight$", r"^class_token$"),
        torchvision.VIT,
        networks.vision_transformer,
        EPSILON_6,
        pixels.torchvision_vit,
        respell=partial(respelled, spellings=torchvision.OLD_SPELLINGS),
        resizing=Resizing("bicubic_aligned", "bicubic"),
    ),
    Format(
        "torchvision",
        (r"^features\.0\.0\.weight$",),
        timm.SWIN,
        networks.swin_transformer,
        EPSILON_5 | dict(window_rule="torchvision"),
        pixels.torchvision_swin,
        fields_in_arrays=swin_buffers.fields_in_arrays,
        respell=torchvision.respell_swin,
        left_out=BUFFERS,
    ),
    # The papers' own code. Their names are timm's where the wrapper has to tell.
    Format(
        "mae",
        (r"^decoder_embed\.weight$", r"^patch_embed\.proj\.weight$"),
        timm.MAE,
        networks.masked_autoencoder,
        EPSILON_6,
        pixels.imagenet,
    ),
    beits_pretraining(
        "beitv2",
        (*BEIT_PRETRAINING, r"^cls_pt_layers\.0\."),
        pixels=pixels.timm,
        left_out=BUFFERS | CLASS_TOKEN_LAYERS,
    ),
    beits_pretraining("beit", BEIT_PRETRAINING, pixels=pixels.google, left_out=BUFFERS),
    beits_classifier("beit", pixels=pixels.google, namesake="beitv2"),
    beits_classifier("beitv2", pixels=pixels.timm),
    dinov2((*DINOV2_MARKS, r"^reg_token$"), resizing=Resizing("bicubic_antialias", "bicubic")),
    dinov2(DINOV2_MARKS, resizing=Resizing("bicubic_offset", "bicubic")),
    Format(
        "dino",
        VIT_MARKS,
        timm.VIT,
        networks.vision_transformer,
        EPSILON_6,
        pixels.imagenet,
        respell=partial(respelled, spellings=((r"^backbone\.", ""),)),
        left_out=HEAD_OF_DINO,
        wrappers=("teacher", "student"),
        resizing=Resizing("bicubic_offset", "bicubic"),
    ),
    Format(
        "deit",
        VIT_MARKS,
        timm.VIT,
        networks.vision_transformer,
        EPSILON_6,
        pixels.imagenet,
        wrappers=("model", "model_ema"),
    ),
    Format(
        "swin",
        (*SWIN_MARKS, r"^layers\.0\.downsample\."),
        timm.SWIN_OF_THE_PAPER,
        networks.swin_transformer,
        EPSILON_5,
        pixels.imagenet,
        fields_in_arrays=swin_buffers.fields_in_arrays,
        left_out=BUFFERS,
    ),
    # timm.
    timms(
        SWIN_MARKS,
        timm.SWIN,
        networks.swin_transformer,
        EPSILON_5 | dict(window_rule="timm"),
        pixels.timm,
        timm_config.timm_swin,
        left_out=BUFFERS,
        resizing=Resizing("bicubic", "geometric_linear", "own"),
    ),
    timms(
        TIMM_BEIT,
        timm.BEIT,
        networks.vision_transformer,
        EPSILON_6,
        pixels.google,
        timm_config.timm_vit,
        left_out=BUFFERS,
        resizing=Resizing("bicubic_antialias", "geometric_linear"),
    ),
    timms(
        VIT_MARKS,
        timm.VIT,
        networks.vision_transformer,
        EPSILON_6,
        pixels.timm,
        timm_config.timm_vit,
        fields_in_arrays=timm.fields_in_arrays,
        resizing=Resizing("bicubic_antialias", "bicubic"),
    ),
)
PUBLISHERS = tuple(dict.fromkeys(format.publisher for format in FORMATS))


def own_format(names: Iterable[str], resizing: Resizing) -> Format:
    """This package's own format: the names are the paths. Embeddings are resized as their module says."""
    return Format(
        "vit_jax",
        (),
        tuple(array(name, name) for name in names),
        networks.vision_transformer,
        {},
        lambda network: network.preprocessing,
        resizing=resizing,
    )
