"""A trained classifier, loaded and checked."""

import numpy as np

from vit_jax.inference.model_source import ModelSource
from vit_jax.pretrained.folder import check_class_names
from vit_jax.pretrained.load import Pretrained


def load_classifier(source: ModelSource, dtype: str) -> Pretrained:
    """Loads a model that has classes.

    Args:
        source: of the model.
        dtype: of the computation, "float32" or "bfloat16".

    Raises:
        ValueError: the model has no head, or not as many names as classes.
        FileNotFoundError: there is no model.
    """
    model, params, class_names = source.load()
    if model.num_classes == 0:
        raise ValueError(
            f"the model in {source.source} has no classification head (num_classes 0), so it knows no classes: take "
            "one that was trained to classify, or what vit_jax.features(model, params, images) gives"
        )
    check_class_names(class_names, model.num_classes, f"the model in {source.source}")
    return Pretrained(model.clone(dtype=np.dtype(dtype)), params, class_names)
