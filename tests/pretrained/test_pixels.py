"""How images are prepared where nothing beside the weights says so: as the publisher does for that network."""

from pathlib import Path

import pytest

import vit_jax
from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, write
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import IMAGENET_MEAN, Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.pretrained.preprocess import covering
from vit_jax.pretrained.publishers import pixels
from vit_jax.pretrained.publishers.formats import FORMATS

WHOLE_AND_LARGE = (
    ("google", "vit_base_patch16_384"),
    ("swin", "swin_base_patch4_window12_384"),
    ("swin", "swinv2_base_window12to24_192to384"),
    ("dinov2", "dinov2_base_patch14_518"),
    ("deit", "deit_base_patch16_384"),
    ("deit", "deit3_large_patch16_384"),
    ("beit", "beit_base_patch16_384"),
    ("beit", "beit_large_patch16_512"),
)
AS_IN_THE_REGISTRY = (
    *WHOLE_AND_LARGE,
    ("google", "vit_huge_patch14_224"),
    ("beit", "beit_base_patch16_224"),
    ("dino", "dino_small_patch16_224"),
    ("timm", "deit_base_patch16_224"),
    ("timm", "swin_tiny_patch4_window7_224"),
)


def prepared(publisher: str, model: Network) -> Preprocessing:
    """What is taken for a publisher's weights of a network."""
    kind = "swin_transformer" if hasattr(model, "window_size") else "vision_transformer"
    formats = [x for x in FORMATS if x.publisher == publisher and x.network.__name__ == kind]  # pyright: ignore[reportFunctionMemberAccess]
    return formats[-1].pixels(model)


@pytest.mark.parametrize(("publisher", "name"), AS_IN_THE_REGISTRY)
def test_a_published_network_s_images_are_as_in_the_registry(publisher: str, name: str):
    model = create_model(name)
    assert prepared(publisher, model) == model.preprocessing


def test_images_of_384_px_and_more_are_whole():
    assert all(create_model(name).preprocessing.crop_fraction == 1 for _, name in WHOLE_AND_LARGE)


@pytest.mark.parametrize(("publisher", "mean"), [(None, (0.5,)), ("beit", (0.5,)), ("beitv2", IMAGENET_MEAN)])
def test_beit_v2_s_classifiers_are_told_from_beit_s_by_their_publisher(publisher, mean, tmp_path: Path, caplog):
    """Their files look alike, and their images have other means: where it is not said, it is a warning."""
    path = write(CASES["beit"], draw(golden_shapes()["beit"], 0), tmp_path)
    model, _ = vit_jax.load_pretrained(path, publisher=publisher)
    assert model.preprocessing.mean == mean
    assert ("say publisher='beitv2'" in caplog.text) == (publisher is None)


TORCHVISION = {
    "ViT_B_16_Weights.IMAGENET1K_V1": ("vit_base_patch16_224", 224),
    "ViT_B_32_Weights.IMAGENET1K_V1": ("vit_base_patch32_224", 224),
    "ViT_L_16_Weights.IMAGENET1K_V1": ("vit_large_patch16_224", 224),
    "ViT_L_32_Weights.IMAGENET1K_V1": ("vit_large_patch32_224", 224),
    "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1": ("vit_base_patch16_224", 384),
    "ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1": ("vit_large_patch16_224", 512),
    "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1": ("vit_huge_patch14_224", 518),
    "ViT_H_14_Weights.IMAGENET1K_SWAG_LINEAR_V1": ("vit_huge_patch14_224", 224),
    "Swin_T_Weights.IMAGENET1K_V1": ("swin_tiny_patch4_window7_224", 224),
    "Swin_S_Weights.IMAGENET1K_V1": ("swin_small_patch4_window7_224", 224),
    "Swin_B_Weights.IMAGENET1K_V1": ("swin_base_patch4_window7_224", 224),
    "Swin_V2_T_Weights.IMAGENET1K_V1": ("swinv2_tiny_window8_256", 256),
    "Swin_V2_S_Weights.IMAGENET1K_V1": ("swinv2_small_window8_256", 256),
    "Swin_V2_B_Weights.IMAGENET1K_V1": ("swinv2_base_window8_256", 256),
}


@pytest.mark.parity("torch", "timm", "torchvision")
@pytest.mark.parametrize("weights", TORCHVISION)
def test_torchvision_s_images_are_as_its_weights_say(weights: str):
    from tests.pretrained.timm_folder import torchvision_preset

    name, image_size = TORCHVISION[weights]
    model = create_model(name, image_size=image_size)
    ours, theirs = prepared("torchvision", model), torchvision_preset(weights)
    resized, box = covering(model.clone(preprocessing=ours), (1000, 1000))
    assert [resized[0]] == theirs.resize_size
    assert [box[2] - box[0]] == theirs.crop_size
    assert (ours.interpolation, list(ours.mean), list(ours.std)) == (
        theirs.interpolation.value,
        theirs.mean,
        theirs.std,
    )


def test_a_swin_that_torchvision_has_not_is_prepared_as_most_of_imagenet_s():
    model = create_model("swin_large_patch4_window7_224")
    assert pixels.torchvision_swin(model) == pixels.AUTHORS
