"""A name of a file that is no text is shown, and ends nothing."""

import io
import sys

from vit_jax.printing import show_any_name


def test_a_name_that_is_no_text_is_shown(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", output)
    show_any_name()
    print(b"a\xfc.png".decode(errors="surrogateescape"), flush=True)
    assert output.buffer.getvalue() == b"a\\udcfc.png\n"
