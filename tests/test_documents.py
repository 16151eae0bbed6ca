"""What README.md and docs/ name is there: files, links, modules, subcommands, flags."""

import importlib.util
import re
from pathlib import Path

import pytest

from vit_jax import cli
from vit_jax.training import command_line

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))}

FLAGS_OF = ("vit_digits", "vit_cifar10_cpu", "swin_cifar10_cpu", "deit_cifar10_cpu", "image_folder")
"""Config files that have among them every flag that the pages name: of networks, augmentation, objectives."""


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


def test_flags_exist(capsys):
    for name in FLAGS_OF:
        config = ROOT / "configs" / f"{name}.py"
        with pytest.raises(SystemExit):
            command_line.parse(["--help"], config)
    there = set(re.findall(r"--[\w.]+", capsys.readouterr().out))
    assert named(r"--[a-z_]+\.[\w.]*\w") <= there
