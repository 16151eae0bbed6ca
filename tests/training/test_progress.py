"""A bar in a terminal, lines elsewhere."""

import io

from rich.console import Console

from vit_jax.training.progress import Bar, Display, make_display

TRAIN = {"epoch": 1.5, "loss": 0.25, "accuracy": 0.9, "skipped": 0, "images_per_second": 1234.0}
TEST = {"epoch": 1.5, "loss": 0.2, "accuracy": 0.9251}


def show(terminal, row=TRAIN, seconds_left: float | None = 65.0):
    file = io.StringIO()
    display = make_display(100, Console(file=file, force_terminal=terminal, width=160))
    display.say("data [bold]folder:cat:[/bold]")
    display.train(50, row, seconds_left)
    display.evaluate("test", 50, TEST)
    display.close()
    return display, file.getvalue()


def test_lines_have_no_control_characters_and_all_the_figures():
    display, text = show(terminal=False)
    assert type(display) is Display
    assert text == (
        "data [bold]folder:cat:[/bold]\n"
        "step  50/100  epoch   1.50  loss 0.2500  accuracy 90.00%  1,234 images/s  0:01:05 left\n"
        "step  50/100  epoch   1.50  test accuracy 92.51%  loss 0.2000\n"
    )


def test_a_terminal_gets_a_bar_with_the_same_figures():
    display, text = show(terminal=True)
    assert isinstance(display, Bar)
    for part in ("50%", "loss 0.2500", "accuracy 90.00%", "1,234 images/s", "0:01:05 left", "test accuracy 92.51%"):
        assert part in text


def test_before_speed_is_known_nothing_is_made_up():
    _, text = show(terminal=False, row=TRAIN | {"images_per_second": None}, seconds_left=None)
    assert "loss 0.2500  accuracy 90.00%\n" in text


def test_skipped_updates_are_said():
    _, text = show(terminal=False, row=TRAIN | {"skipped": 2})
    assert "accuracy 90.00%  2 updates skipped: not finite  1,234 images/s" in text
