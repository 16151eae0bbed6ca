"""The Hugging Face Hub: what is downloaded, and what is said when it cannot be. Nothing here needs a network."""

import errno
import importlib
import os
import subprocess
import sys
from typing import Any

import pytest

from vit_jax.pretrained.hub import fetch


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"google/vit .*pip install huggingface_hub; or download it by hand"):
        fetch("google/vit")


@pytest.mark.parity("huggingface_hub")
class TestWithThePackage:
    @pytest.fixture
    def hub(self) -> Any:
        importlib.import_module("huggingface_hub.errors")  # the package does not by itself
        return importlib.import_module("huggingface_hub")

    @pytest.fixture
    def response(self, hub) -> Any:
        """An answer of the package's own HTTP package, for its exceptions."""
        module = next(c for c in hub.errors.HfHubHTTPError.__mro__ if c.__name__ == "HTTPError").__module__
        package = sys.modules[module.partition(".")[0]]
        return package.Response(404, request=package.Request("GET", "https://huggingface.co/a/b"))

    @pytest.fixture
    def online(self, hub, monkeypatch, tmp_path):
        """A hub with a repository of these files; gives what is downloaded of it."""

        def start(*names: str) -> list[str]:
            downloaded: list[str] = []

            def snapshot_download(repo_id, revision, allow_patterns):
                assert (repo_id, revision) == ("google/vit", "v1")
                downloaded.extend(allow_patterns)
                return str(tmp_path)

            monkeypatch.setattr(hub, "list_repo_files", lambda repo_id, revision: list(names))
            monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
            return downloaded

        return start

    @pytest.mark.parametrize(
        ("names", "needed"),
        [
            (["model.safetensors", "pytorch_model.bin", "README.md", "onnx/model.safetensors"], ["model.safetensors"]),
            (["ViT-B_16.npz", "pytorch_model.bin"], ["ViT-B_16.npz"]),
            (["pytorch_model.bin", "tf_model.h5", "training_args.bin"], ["pytorch_model.bin"]),
            (
                ["model.safetensors.index.json", "m-1.safetensors", "m-2.safetensors", "pytorch_model.bin"],
                ["model.safetensors.index.json", "m-1.safetensors", "m-2.safetensors"],
            ),
            (
                ["pytorch_model.bin.index.json", "pytorch_model-1.bin", "pytorch_model-2.bin", "tf_model.h5"],
                ["pytorch_model.bin.index.json", "pytorch_model-1.bin", "pytorch_model-2.bin"],
            ),
        ],
    )
    def test_only_configs_and_weights_are_downloaded(self, online, tmp_path, names, needed):
        downloaded = online("config.json", *names)
        assert fetch("google/vit", "v1") == tmp_path
        assert downloaded == ["config.json", "preprocessor_config.json", *needed]

    def test_a_repository_without_weights_is_refused(self, online):
        assert not online("config.json", "tf_model.h5", "onnx/model.safetensors")
        with pytest.raises(FileNotFoundError, match=r"huggingface\.co/google/vit has no weights"):
            fetch("google/vit", "v1")

    @pytest.mark.parametrize("step", ["list_repo_files", "snapshot_download"])
    @pytest.mark.parametrize(
        ("error", "expected", "message"),
        [
            ("RepositoryNotFoundError", FileNotFoundError, "no repository https://huggingface.co/a/b; .*private"),
            ("GatedRepoError", ValueError, "a/b is gated: accept its conditions there, then run hf auth login"),
            ("RevisionNotFoundError", ValueError, "a/b has no revision 'v1': give a branch, tag or commit"),
            ("HfHubHTTPError", ConnectionError, "a/b cannot be reached and was not downloaded before.*: said"),
        ],
    )
    def test_what_the_hub_refuses_is_explained(
        self, hub, response, online, monkeypatch, tmp_path, step, error, expected, message
    ):
        def refuse(*args, **kwargs):
            if "local_files_only" in kwargs:
                raise hub.errors.LocalEntryNotFoundError("not cached")
            raise getattr(hub.errors, error)("said the server", response=response)

        online("config.json", "model.safetensors")
        monkeypatch.setattr(hub, "snapshot_download", refuse)
        if step == "list_repo_files":
            monkeypatch.setattr(hub, step, refuse)
        with pytest.raises(expected, match=message):
            fetch("a/b", "v1")

    @pytest.mark.parametrize("error", ["ConnectError", "ReadTimeout", "offline"])
    def test_without_network_what_was_downloaded_before_is_used(
        self, hub, response, online, monkeypatch, tmp_path, error
    ):
        package = sys.modules[type(response).__module__.partition(".")[0]]
        failure = hub.errors.OfflineModeIsEnabled("offline") if error == "offline" else getattr(package, error)("down")

        def refuse(repo_id, revision):
            raise failure

        def snapshot_download(repo_id, revision, allow_patterns, local_files_only):
            assert local_files_only
            return str(tmp_path)

        monkeypatch.setattr(hub, "list_repo_files", refuse)
        monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
        with pytest.raises(ConnectionError, match="a/b cannot be reached and was not downloaded before"):
            fetch("a/b")  # there is such a folder, but no weights in it
        (tmp_path / "model.safetensors").touch()
        assert fetch("a/b") == tmp_path

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
    def test_a_cache_that_cannot_be_written_is_named(self, hub, online, monkeypatch, tmp_path, number):
        """The hub was reached: what was downloaded before is not what was asked for."""

        def fill(repo_id, revision, allow_patterns, local_files_only=False):
            if local_files_only:
                return str(tmp_path)
            raise OSError(number, os.strerror(number))

        (tmp_path / "model.safetensors").touch()
        online("config.json", "model.safetensors")
        monkeypatch.setattr(hub, "snapshot_download", fill)
        monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", "/the/cache")
        with pytest.raises(OSError, match=rf"{os.strerror(number)}: '/the/cache'"):
            fetch("a/b", "v1")

    def test_an_id_that_is_none_is_refused(self, hub):
        with pytest.raises(ValueError, match=r"'a/b--c' is no id of a repository"):
            fetch("a/b--c")

    def test_offline_by_the_environment(self, hub, tmp_path):
        """The package itself, in a process of its own, with a cache as it makes them."""
        commit = "0" * 40
        cached = tmp_path / "hub" / "models--google--vit"
        for name, content in {"refs/main": commit, f"snapshots/{commit}/model.safetensors": "weights"}.items():
            (cached / name).parent.mkdir(parents=True)
            (cached / name).write_text(content)
        program = (
            "from vit_jax.pretrained.hub import fetch\n"
            "print(fetch('google/vit'))\n"
            "try: fetch('google/other')\n"
            "except ConnectionError as error: print(error)\n"
        )
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
        result = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        first, second = result.stdout.strip().splitlines()
        assert first == str(cached / "snapshots" / commit)
        assert "google/other cannot be reached and was not downloaded before" in second
        assert "HF_HUB_OFFLINE" in second
