"""Writes what was measured between `<!-- throughput -->` and `<!-- /throughput -->`: the ratios into README.md, and all
into docs/performance.md.

python -m benchmarks.throughput.table
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import markdown
from benchmarks.measure import RESULTS
from benchmarks.throughput.compare import KINDS, PEERS, in_parts
from benchmarks.throughput.targets import targets

ROOT = Path(__file__).parents[2]
MARKERS = ("<!-- throughput -->", "<!-- /throughput -->")
FORMS = {"timm": "eager", "timm_compiled": "compiled", "timm_autotuned": "autotuned"}
MODES = {"compiled": "default mode", "autotuned": 'mode "max-autotune-no-cudagraphs"'}
"""Of torch.compile."""

TITLES = {"plain_flax": "plain Flax"}

Entry = Mapping[str, Any]


def results() -> list[list[Entry]]:
    """All entries of `benchmarks/results/throughput_*.json`, those of one device and machine together.

    Raises:
        FileNotFoundError: if nothing has been measured.
    """
    groups: dict[str, list[Entry]] = {}
    for path in sorted(RESULTS.glob("throughput_*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8"))["results"]:
            entry["machine"].setdefault("devices", 1)  # early results do not say: they are of one
            groups.setdefault(json.dumps([entry["device"], entry["machine"]], sort_keys=True), []).append(entry)
    if not groups:
        raise FileNotFoundError(f"{RESULTS} has no throughput_*.json; run python -m benchmarks.throughput first")
    return list(groups.values())


def summary(entries: Sequence[Entry]) -> str:
    """The ratios measured on one machine: a row for each network."""
    measured = [entry for entry in entries if entry["measured"] == "throughput"]
    kinds = tuple(reversed(KINDS))
    peers = [peer for peer in PEERS if any(peer in entry[kind]["ratios"] for entry in measured for kind in kinds)]
    titles = ("network", *(f"{kind}, times {TITLES.get(peer, peer)}" for kind in kinds for peer in peers))
    rows = []
    for entry in measured:
        ratios = [entry[kind]["ratios"].get(peer) for kind in kinds for peer in peers]
        rows.append((f"`{entry['model']}`", *(f"{ratio['median']:.2f}" if ratio else "" for ratio in ratios)))
    return f"{where(entries[0])}\n\n{markdown.table(titles, rows)}"


def section(entries: Sequence[Entry]) -> str:
    """What was measured on one machine: where, the tables, the commands, and whether the targets were met."""
    throughput = [entry for entry in entries if entry["measured"] == "throughput"]
    epochs = [entry for entry in entries if entry["measured"] == "epoch"]
    parts = [where(entries[0])]
    if throughput:
        parts += [table(throughput), notes(throughput)]
    if epochs:
        parts.append(epoch_table(epochs))
    commands = dict.fromkeys(entry["command"] for entry in entries)
    days = sorted({entry["time"][:10] for entry in entries})
    measured = f"measured {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")
    parts.append(wrapped(f"{', '.join(f'`{command}`' for command in commands)}; {measured}."))
    missed = [str(target) for entry in entries for target in targets(entry) if not target.met]
    if missed:
        parts.append("Targets not met:\n\n" + "\n".join(f"- {line}" for line in missed))
    return "\n\n".join(parts)


def where(entry: Entry) -> str:
    """The machine in a sentence."""
    machine, versions = entry["machine"], entry["machine"]["versions"]
    device, count = machine["device"], machine["devices"]
    if entry["device"] == "cpu":
        device = f"{machine['cores']} cores of {machine['processor']}"
    elif count > 1:
        device = f"{count} {device} (images/s are of one of them, epochs of all)"
    named = {"jax": "jax", "torch": "PyTorch", "timm": "timm", "transformers": "transformers"}
    used = ", ".join(f"{title} {versions[name]}" for name, title in named.items() if name in versions)
    return f"On {device}, in {entry['dtype']} ({used}):"


def table(entries: Sequence[Entry]) -> str:
    """One row for each network and kind: our speed, and how many times a peer's that is."""
    peers = [peer for peer in PEERS if any(peer in entry[kind]["ratios"] for entry in entries for kind in KINDS)]
    titles = ["network", "", "batch", "images/s", "of the peak", "memory"]
    titles += [f"times {TITLES.get(peer, peer)}" for peer in peers]
    spread_out = any("times_one_device" in entry[kind] for entry in entries for kind in KINDS)
    titles += ["times one device"] if spread_out else []
    rows = []
    for entry in entries:
        for kind in reversed(KINDS):
            ours, ratios = entry[kind]["implementations"]["ours"], entry[kind]["ratios"]
            speed, memory = ours["images_per_second"]["median"], ours["peak_bytes"]
            batch = in_parts(ours["batch"], ours.get("parts", 1))  # early results do not say: they have whole batches
            cells = [f"`{entry['model']}`", kind, batch, number(speed), f"{ours['share_of_peak']:.0%}"]
            cells.append("" if memory is None else f"{number(memory / 1e6)} MB")
            cells += [times(ratios.get(peer)) for peer in peers]
            alone = entry[kind].get("times_one_device")
            cells += [markdown.between(alone, ".2f") if alone else ""] if spread_out else []
            rows.append(cells)
    return markdown.table(titles, rows)


def number(value: float) -> str:
    """Three digits, or all of a whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: Mapping[str, Any] | None) -> str:
    """A ratio with its spread, and of the peer's forms the fastest."""
    if ratio is None:
        return ""
    form = FORMS.get(ratio["form"])
    return markdown.between(ratio, ".2f") + (f", {form}" if form else "")


def notes(entries: Sequence[Entry]) -> str:
    """How to read the table, and what could not be measured."""
    rounds = "/".join(map(str, sorted({entry["rounds"] for entry in entries})))
    where = "each in a process of its own" if all(entry["own_processes"] for entry in entries) else "in one process"
    found = [
        f"Medians over {rounds} rounds, and the lowest and highest, of implementations that take turns, {where}, with "
        "the same parameters and logits equal up to rounding. A training step is forward, cross-entropy, backward and "
        'AdamW. "Of the peak" is the FLOP/s of the network\'s matrix products as a share of those measured in large '
        "square products."
    ]
    if any(entry["training"]["implementations"]["ours"].get("parts", 1) > 1 for entry in entries):
        found.append(
            '"64 in 4" is gradient accumulation over four micro-batches (`--accumulate_steps 4`). Each implementation '
            "was timed with and without it; the faster is reported."
        )
    if any("plain_flax" in entry[kind]["ratios"] for entry in entries for kind in KINDS):
        found.append(
            '"Plain Flax" is the same network as one would first write it, from Flax\'s layers, with attention by '
            "`einsum` and automatic derivatives (`benchmarks/throughput/plain_flax.py`)."
        )
    found += timm_forms(entries)
    devices = max(entry["machine"]["devices"] for entry in entries)
    if entries[0]["device"] == "cpu" and devices > 1:
        found.append(
            "This project splits a batch over one JAX device per core, as `vit-jax predict`, `evaluate` and `train.py "
            f"--parallel.mode pmap` do with `JAX_NUM_CPU_DEVICES={devices}` in the environment; the others ran without "
            'this. "Times one device" is the speed-up by it: divide a ratio by that for one device, the default.'
        )
    for entry in entries:
        failed = dict(entry["failed"])
        for kind in KINDS:
            for name, row in entry[kind]["implementations"].items():
                if row["batch"] is None:
                    failed[f"{name}, {kind}"] = next(iter(row["tried"].values()))["failed"]
        found += [f"`{entry['model']}`, {what}: {why}" for what, why in failed.items()]
    for note in dict.fromkeys(entry["note"] for entry in entries if "note" in entry):
        models = ", ".join(f"`{entry['model']}`" for entry in entries if entry.get("note") == note)
        found.append(f"{models}: {note}")
    return "\n\n".join(map(wrapped, found))


def timm_forms(entries: Sequence[Entry]) -> list[str]:
    """A sentence on the ways in which timm ran, for the networks that have these in common."""
    tried: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        rows = entry["training"]["implementations"]
        ran = tuple(name for form, name in FORMS.items() if form in rows and rows[form]["batch"] is not None)
        if ran:
            tried.setdefault(ran, []).append(f"`{entry['model']}`")
    sentences = []
    for ran, models in tried.items():
        named = [f"{name} (torch.compile, {MODES[name]})" if name in MODES else name for name in ran]
        where = f" in {', '.join(models)}" if len(tried) > 1 else ""
        kept = "; the table has the fastest of these" if len(ran) > 1 else " alone"
        sentences.append(f"timm was tried {' and '.join(named)}{where}{kept}.")
    return sentences


def wrapped(paragraph: str) -> str:
    """A paragraph in lines as long as the page's."""
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def epoch_table(entries: Sequence[Entry]) -> str:
    """Seconds of an epoch."""
    rows = []
    for entry in entries:
        evaluation = f"{entry['seconds_of_evaluation']['median']:.3g}"
        steps = f"{entry['steps']} of {entry['batch']} images"
        cells = (f"`{entry['model']}`", steps, f"{entry['test_images']:,} images")
        rows.append((*cells, markdown.between(entry["seconds_of_an_epoch"]), evaluation))
    return markdown.table(("network", "steps", "then evaluated", "seconds of an epoch", "of these, evaluation"), rows)


def rewritten(page: str, content: str) -> str:
    """A page with this content between the markers.

    Raises:
        ValueError: if the markers are not there, once each, in their order.
    """
    begin, end = MARKERS
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"a page must have {begin} and, after it, {end}, once each")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def pages() -> dict[Path, str]:
    """What each page has between the markers."""
    measured = results()
    written = {"README.md": summary, "docs/performance.md": section}
    return {ROOT / name: "\n\n".join(map(write, measured)) for name, write in written.items()}


def main() -> None:
    """Rewrites both pages."""
    for page, content in pages().items():
        page.write_text(rewritten(page.read_text(encoding="utf-8"), content), encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main()
