"""A name of a file that is no text is shown, and ends nothing; warnings are lines like the others."""

import io
import subprocess
import sys

from vit_jax.printing import show_any_name


def test_a_name_that_is_no_text_is_shown(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", output)
    show_any_name()
    print(b"a\xfc.png".decode(errors="surrogateescape"), flush=True)
    assert output.buffer.getvalue() == b"a\\udcfc.png\n"


def test_warnings_are_notes_whatever_other_libraries_log():
    code = "import logging; logging.warning('x'); from vit_jax.printing import log_as_notes; log_as_notes(); "
    code += "logging.getLogger('vit_jax.pretrained').warning('resized as %s does', 'timm')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING:root:x\nnote     resized as timm does\n"
