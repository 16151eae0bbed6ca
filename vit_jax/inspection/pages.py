"""HTML pages that need nothing beside themselves, from the templates in this directory."""

from importlib import resources
from typing import Any

import numpy as np

from vit_jax.inspection import charts, figures


def page(template: str, **values: Any) -> str:
    """The text of a page.

    Args:
        template: its file's name, e.g. "report.html.jinja".
        values: what the template names; they are escaped.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # a run that starts needs no template

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(read)
    )
    environment.filters |= {"percent": percent, "picture": figures.picture, "is_small": figures.is_small}
    environment.globals["frame"] = charts
    return environment.get_template(template).render(values)


def read(template: str) -> str:
    """The text of a template."""
    return resources.files("vit_jax.inspection").joinpath(template).read_text(encoding="utf-8")


def percent(fraction: float) -> str:
    """0.98765 as "98.8%"; "n/a" where there is no number."""
    return f"{100 * fraction:.1f}%" if np.isfinite(fraction) else "n/a"
