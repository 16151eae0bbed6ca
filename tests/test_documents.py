"""What README.md and docs/ name is there: files, links, modules, subcommands, flags."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vit_jax import cli
from vit_jax.training import command_line

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))}

FLAGS_OF = ("vit_digits", "vit_cifar10_cpu", "swin_cifar10_cpu", "deit_cifar10_cpu", "dino_cifar10_cpu", "image_folder")
"""Config files that have among them every flag that the pages name: of networks, augmentation, objectives."""

OTHERS = {"--ntasks-per-node", "--logdir"}
"""Flags of other programs: of sbatch and of tensorboard."""


def named(pattern: str) -> set[str]:
    """What a pattern finds in any page."""
    found = {match for text in PAGES.values() for match in re.findall(pattern, text)}
    assert found, pattern
    return found


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page's titles get."""
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_lead_to_files_and_titles():
    for page, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            name, _, anchor = target.partition("#")
            to = (page.parent / name).resolve() if name else page
            assert to.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(PAGES[to]), f"{page.name} links to {target}"


def test_files_and_modules_exist():
    for path in named(r"\b(?:configs|notebooks|vit_jax|tests|benchmarks/results)/[\w/]+\.\w+"):
        assert (ROOT / path).exists(), path
    for module in named(r"python\s+-m (benchmarks[\w.]*\w)"):
        assert importlib.util.find_spec(module), module


def test_subcommands_exist():
    assert named(r"vit-jax (?!-)(\w+)") <= set(cli.COMMANDS)


def flags(text: str) -> set[str]:
    """The flags that a text names, "--seed" and "--optimizer.b1", not the values of variables such as XLA_FLAGS=--x."""
    return set(re.findall(r"(?<![=\w])--[a-z](?:[\w.-]*\w)?", text))


def help_of(main: Callable[..., object], arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints that is asked for help."""
    with pytest.raises(SystemExit):
        main(*arguments)
    return capsys.readouterr().out


def flags_of_training(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The flags of train.py, with any of the config files."""
    configs = [ROOT / "configs" / f"{name}.py" for name in FLAGS_OF]
    return set().union(*(flags(help_of(command_line.parse, (["--help"], config), capsys)) for config in configs))


def flags_of_benchmark(module: str) -> set[str]:
    """The flags that the source of a benchmark's command adds to those of argparse."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin)
    path = path.with_name("__main__.py") if path.name == "__init__.py" else path
    return {"--help", *re.findall(r'add_argument\(\s*"(--[\w-]+)"', path.read_text())}


def test_flags_exist(capsys):
    """Each for some command, and where it stands in one, for this."""
    training = flags_of_training(capsys)
    ours = {name: flags(help_of(cli.main, ([name, "--help"],), capsys)) for name in cli.COMMANDS}
    benchmarks = {module: flags_of_benchmark(module) for module in named(r"\b(benchmarks\.[\w.]*\w)")}
    anywhere = training.union(OTHERS, *ours.values(), *benchmarks.values())
    for page, text in PAGES.items():
        assert flags(text) <= anywhere, page
        for name, rest in re.findall(r"vit-jax (?!-)(\w+)([^`\n]*)", text):
            assert flags(rest) <= ours[name], f"{page}: {name}{rest}"
        for rest in re.findall(r"python train\.py([^`\n]*)", text):
            assert flags(rest) <= training, f"{page}: train.py{rest}"
        for module, rest in re.findall(r"\b(benchmarks\.[\w.]*\w)([^`\n]*)", text):
            assert flags(rest) <= benchmarks[module], f"{page}: {module}{rest}"
