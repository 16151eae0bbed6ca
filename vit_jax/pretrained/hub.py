"""Repositories on the Hugging Face Hub: what is needed is downloaded once, into the cache that all its tools share."""

import errno
import re
from collections.abc import Collection
from pathlib import Path

from vit_jax.pretrained.weight_files import choose_weights

OF_THE_CACHE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
"""Errors of the system that say that a download cannot be kept, not that the hub cannot be reached."""


def fetch(repo_id: str, revision: str | None = None) -> Path:
    """The local folder with a repository's weights, `config.json` and `preprocessor_config.json`; nothing else of it.

    Without network (or with HF_HUB_OFFLINE=1) it is what was downloaded before.

    Args:
        repo_id: "owner/name".
        revision: branch, tag or commit; None: the main branch.

    Raises:
        ModuleNotFoundError: without huggingface_hub.
        FileNotFoundError: if there is no such repository, or it has no weights.
        ValueError: if the id or revision is wrong, the repository is gated, or has several files of weights.
        ConnectionError: if the hub cannot be reached and the repository was not downloaded before.
        OSError: if the cache is full or may not be written to; names it.
    """
    try:
        import huggingface_hub  # pyright: ignore[reportMissingImports]
        from huggingface_hub import constants, errors  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"to download {repo_id} from the Hugging Face Hub: pip install huggingface_hub; "
            "or download it by hand and give the folder"
        ) from error
    page = f"https://huggingface.co/{repo_id}"
    try:
        names = huggingface_hub.list_repo_files(repo_id, revision=revision)
        weights = choose_weights(page, [name for name in names if "/" not in name])
        if weights is not None:
            needed = ["config.json", "preprocessor_config.json", weights, *parts_of(weights, names)]
            return Path(huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=needed))
    except errors.GatedRepoError as error:
        raise ValueError(f"{page} is gated: accept its conditions there, then run hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(f"no repository {page}; if it is a private one, run hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{page} has no revision {revision!r}: give a branch, tag or commit of it") from error
    except errors.HFValidationError as error:
        raise ValueError(f"{repo_id!r} is no id of a repository, owner/name: {error}") from error
    except (OSError, errors.HTTPError) as error:  # pyright: ignore[reportPrivateImportUsage] (httpx's or requests's)
        if isinstance(error, OSError) and error.errno in OF_THE_CACHE:
            raise OSError(error.errno, error.strerror, constants.HF_HUB_CACHE) from error
        return downloaded_before(repo_id, revision, error)
    raise FileNotFoundError(f"{page} has no weights (*.safetensors, *.npz, pytorch_model.bin) beside its README")


def parts_of(weights: str, names: Collection[str]) -> list[str]:
    """The files that an index may name: beside it, of its kind and numbered ("x.bin.index.json": "x-1.bin")."""
    kind = Path(weights.removesuffix(".index.json")).suffix
    numbered = re.compile(rf"[^/]*-\d[^/]*{re.escape(kind)}")
    return [name for name in names if numbered.fullmatch(name)] if weights.endswith(".index.json") else []


def downloaded_before(repo_id: str, revision: str | None, reason: Exception) -> Path:
    """The folder of a repository in the cache; `reason` is why the hub cannot be asked."""
    from huggingface_hub import errors, snapshot_download  # pyright: ignore[reportMissingImports]

    unreachable = ConnectionError(
        f"https://huggingface.co/{repo_id} cannot be reached and was not downloaded before. Connect (and unset "
        f"HF_HUB_OFFLINE), or download it elsewhere and give the folder: {reason}"
    )
    try:  # config.json alone, as a cached repository need not be complete
        folder = Path(
            snapshot_download(repo_id, revision=revision, allow_patterns="config.json", local_files_only=True)
        )
    except errors.LocalEntryNotFoundError as error:
        raise unreachable from error
    if choose_weights(folder, [path.name for path in folder.iterdir()]) is None:
        raise unreachable from reason
    return folder
