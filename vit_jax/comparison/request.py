"""What a comparison is asked for: configs, a budget, seeds."""

import dataclasses
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_jax.training.command_line import load_config
from vit_jax.training.config import Config, to_json

SAME_IMAGES = ("name", "data_dir", "validation_fraction", "test_fraction", "split_seed", "skip_unreadable")
"""What decides which images are learned from and which are tested on."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        configs: files as `train.py --config` takes them.
        budget: of each run's training, "5 epochs" or "300 seconds"; None for each config's own duration.
        seeds: how many: 0, 1, ...
        data: fields of every config's data that are replaced, by name.
    """

    configs: tuple[Path, ...]
    budget: str | None = None
    seeds: int = 3
    data: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self):
        if not self.configs:
            raise ValueError("give the config files to compare, e.g. configs/vit_digits.py")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, not {self.seeds}")
        for stem, count in Counter(path.stem for path in self.configs).items():
            if count > 1:
                raise ValueError(f"{count} of the configs are called {stem}: runs are named after them; rename one")
        if self.budget is not None:
            parse_budget(self.budget)

    @property
    def seconds(self) -> float | None:
        """The budget, where it is one of time."""
        number, unit = parse_budget(self.budget) if self.budget else (0.0, "epochs")
        return number if unit == "seconds" else None

    def config(self, path: Path) -> Config:
        """The config of a file, with the data and the budget asked for; a budget of time is not in it yet."""
        if any((path / name).is_file() for name in ("config.json", "metrics.jsonl")):
            raise ValueError(
                f"{path} is the workdir of a run: a comparison takes config files, which it trains. A run that is "
                f"finished is shown by {path / 'report.html'}, the curves of several by: tensorboard --logdir "
                f'{path.parent} (of runs that had it when they were trained: pip install -e ".[tensorboard]")'
            )
        config = load_config(path)
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, **dict(self.data)))
        if self.budget is not None and self.seconds is None:
            config = dataclasses.replace(config, duration=self.budget)
        return config


def parse_budget(budget: str) -> tuple[float, str]:
    """Splits "300 seconds" into (300.0, "seconds").

    Raises:
        ValueError: if it is not a positive number followed by "epochs" or "seconds".
    """
    amount, _, unit = budget.strip().partition(" ")
    unit = unit.removesuffix("s") + "s"
    try:
        number = float(amount)
    except ValueError:
        number = math.nan
    if unit not in ("epochs", "seconds") or not 0 < number < math.inf:
        raise ValueError(f'a budget is written like "5 epochs" or "300 seconds", not {budget!r}')
    return number, unit


def asked(request: Request, configs: dict[str, Config]) -> dict[str, Any]:
    """What was asked for, as plain dicts and strings."""
    contents = {name: to_json(config) for name, config in configs.items()}
    return json.loads(json.dumps({"budget": request.budget, "seeds": request.seeds, "configs": contents}))


def read_configs(request: Request) -> dict[str, Config]:
    """The configs by their names.

    Raises:
        FileNotFoundError, ValueError: a config file is missing or wrong, or two would be tested on different images.
    """
    configs = {path.stem: request.config(path) for path in request.configs}
    (first, config), *others = configs.items()
    for name, other in others:
        different = [
            f"data.{field}: {getattr(config.data, field)!r} and {getattr(other.data, field)!r}"
            for field in SAME_IMAGES
            if getattr(config.data, field) != getattr(other.data, field)
        ]
        if different:
            raise ValueError(
                f"{first} and {name} are not about the same images:\n  " + "\n  ".join(different) + "\n"
                "Make them alike; --data-name, --data-dir and --skip-unreadable set these in every config."
            )
    return configs
