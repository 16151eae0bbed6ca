"""What Hugging Face's pre-training networks compute with the files of `pretraining_cases`. Needs torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]

from tests.pretrained.pretraining_cases import OWN_SIZE, PRETRAINING_CASES, images_and_noise
from tests.pretrained.publisher_cases import Shapes, Size
from tests.pretrained.resize_cases import PositionCase
from tests.pretrained.resize_reference import torch_position_embedding


def names_written(name: str, directory: Path) -> Shapes:
    """Names and shapes of the file that transformers writes of a case."""
    from safetensors.numpy import load_file

    case = PRETRAINING_CASES[name]
    fields: dict[str, Any] = dict(case.config)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    getattr(transformers, case.architecture)(config).save_pretrained(directory)
    return {stored: x.shape for stored, x in load_file(directory / "model.safetensors").items()}


def reference_output(name: str, directory: Path, size: Size, seed: int) -> np.ndarray:
    """The predicted pixels or the scores of visual tokens, embeddings resized to the images.

    Positions of MAE's decoder are resized as a grid, like the encoder's, and not stretched in a row.
    """
    network = load(name, directory)
    images, noise = images_and_noise(size, seed)
    arguments: Any = {"noise": torch.tensor(noise)} if name == "mae" else {"bool_masked_pos": torch.tensor(noise < 0.4)}
    if size != OWN_SIZE:
        arguments["interpolate_pos_encoding"] = True
    if name == "mae":
        stored = network.decoder.decoder_pos_embed.detach().numpy()
        case = PositionCase(1, (4, 4), (size[0] // 4, size[1] // 4))
        resized = torch.tensor(torch_position_embedding(stored, case, "bicubic"))
        network.decoder.interpolate_pos_encoding = lambda embeddings: resized
    with torch.no_grad():
        return network(torch.tensor(images).permute(0, 3, 1, 2), **arguments).logits.numpy()


def load(name: str, directory: Path) -> Any:
    """The network of a folder; every parameter is in it."""
    architecture = getattr(transformers, PRETRAINING_CASES[name].architecture)
    network, report = architecture.from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return network.eval()
