"""A path is a path; what is none but looks like an id is asked for on the hub."""

import json
from pathlib import Path

import pytest

from vit_jax.pretrained.locate import Located, locate


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What was asked of the hub, which has one repository in its cache."""
    requests: list[tuple[str, str | None]] = []
    folder = write(tmp_path / "cache", "model.safetensors", config={"architecture": "vit"})

    def fetch(repo_id, revision):
        requests.append((repo_id, revision))
        if repo_id != "timm/vit":
            raise FileNotFoundError("no repository")
        return folder

    monkeypatch.setattr("vit_jax.pretrained.locate.fetch", fetch)
    return requests


def write(folder: Path, *names: str, config: object = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"weights")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_a_file_of_a_usual_name_comes_with_the_config_beside_it(tmp_path, asked, name):
    write(tmp_path, "x.npz", "model.safetensors", name, config={"model_type": "vit"})
    found = Located(tmp_path / name, {"model_type": "vit"})
    assert locate(tmp_path / name) == locate(str(tmp_path / name)) == found
    assert not asked


def test_a_file_that_is_alone_comes_with_the_config_beside_it(tmp_path):
    write(tmp_path, "x.npz", "README.md", config={"architecture": "vit_base_patch16_224"})
    assert locate(tmp_path / "x.npz").config == {"architecture": "vit_base_patch16_224"}


def test_a_config_that_may_be_another_file_s_is_left_and_said_to_be(tmp_path, caplog):
    write(tmp_path, "x.npz", "model.safetensors", config={"model_type": "vit"})
    assert locate(tmp_path / "x.npz") == Located(tmp_path / "x.npz", None)
    assert "config.json may be of another file there (model.safetensors): it is not read for x.npz" in caplog.text


def test_a_config_of_no_network_is_left_and_said_to_be(tmp_path, caplog):
    write(tmp_path, "x.npz", config={"lr": 1})
    assert locate(tmp_path / "x.npz").config is None
    assert "config.json is not read for x.npz: it names no network" in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "ViT-B_16.npz"])
def test_a_folder_comes_with_its_config(tmp_path, name):
    write(tmp_path, name, "README.md", config={"hidden_size": 16})
    assert locate(str(tmp_path)) == Located(tmp_path / name, {"hidden_size": 16})


def test_a_folder_need_not_have_a_config(tmp_path):
    write(tmp_path, "x.pth")
    assert locate(tmp_path).config is None


def test_a_workdir_is_its_model(tmp_path):
    """As is a folder that was written by save_pretrained; a folder model/ without a model is none."""
    model = write(tmp_path / "run" / "model", "model.safetensors", config={"format": "vit_jax"})
    assert locate(tmp_path / "run") == locate(model) == Located(model / "model.safetensors", {"format": "vit_jax"})
    other = write(tmp_path / "other", "model.safetensors", config={})
    (other / "model").mkdir()
    assert locate(other).directory == other


def test_an_unfinished_run_is_named_as_such(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match="has not finished: it has checkpoints but no model/ yet"):
        locate(tmp_path)


def test_where_nothing_is_it_says_what_was_looked_for(tmp_path, asked):
    with pytest.raises(FileNotFoundError, match=r"no model at .*: expected a file of weights"):
        locate(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"no model at .*nothing: no such file or folder, and a hub id would be"
    ):
        locate(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="a hub id would be owner/name"):
        locate("vit")
    with pytest.raises(FileNotFoundError, match="no such file or folder, and an id on the hub is a string"):
        locate(Path("timm/vit"))
    with pytest.raises(FileNotFoundError, match="A run is there once it has been trained"):
        locate(Path("runs/vit"))
    assert not asked


@pytest.mark.parametrize("source", ["vit_base_patch16_224", "vit_base_patch16_224.augreg_in21k"])
def test_a_name_of_the_registry_is_no_place_of_weights(source: str, asked):
    """Where it is one in timm."""
    with pytest.raises(FileNotFoundError) as error:
        locate(source)
    assert "A network without weights is vit_jax.create_model('vit_base_patch16_224')" in str(error.value)
    assert str(error.value).endswith("timm's weights are hf-hub:timm/vit_base_patch16_224.TAG")
    assert not asked


def test_a_config_is_no_weights(tmp_path):
    write(tmp_path, "model.safetensors", config={"format": "vit_jax"})
    with pytest.raises(ValueError, match=r"config\.json has no weights: give the folder that it is in, "):
        locate(tmp_path / "config.json")


def test_several_files_are_named(tmp_path):
    write(tmp_path, "a.npz", "b.npz")
    with pytest.raises(ValueError, match=r"several files of weights: a\.npz, b\.npz"):
        locate(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\udcff", "[" * 99_999])
def test_a_damaged_config_is_refused(tmp_path, text):
    write(tmp_path, "model.safetensors")
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        locate(tmp_path)


@pytest.mark.parametrize(
    ("source", "revision", "expected"),
    [
        ("timm/vit", None, None),
        ("timm/vit", "v1", "v1"),
        ("hf-hub:timm/vit", None, None),
        ("hf_hub:timm/vit@v1", None, "v1"),
        ("hf_hub:timm/vit@v1", "v2", "v2"),
    ],
)
def test_an_id_is_asked_for_on_the_hub(tmp_path, asked, source, revision, expected):
    located = locate(source, revision)
    assert asked == [("timm/vit", expected)]
    assert located == Located(tmp_path / "cache" / "model.safetensors", {"architecture": "vit"})


def test_a_path_is_never_asked_for_on_the_hub(tmp_path, asked, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "timm" / "vit", "x.npz")
    assert locate("timm/vit").weights == Path("timm/vit/x.npz")
    assert not asked
    with pytest.raises(ValueError, match=r"timm/vit is a path; a revision \(v1\) is for"):
        locate("timm/vit", "v1")


def test_an_id_with_a_typo_is_said_to_be_none(asked):
    with pytest.raises(
        FileNotFoundError, match="no file or folder timm/typo; taken as an id on the hub: no repository"
    ):
        locate("timm/typo")


@pytest.mark.parametrize("name", ["runs/teacher", "pictures/teacher"])
def test_a_run_that_is_not_there_is_not_asked_for_on_the_hub(name, asked, tmp_path, monkeypatch):
    """A name where runs are kept, or in a folder that there is: nobody waits for the network to learn of a typo."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(FileNotFoundError, match=f"no model at {name}: .*written hf-hub:{name}"):
        locate(name)
    assert not asked
