"""timm's and transformers' networks with our parameters, in PyTorch: eager, and timm's by torch.compile.

Needs torch and timm, and transformers for its own networks. Nothing is downloaded: their own loaders read what
`vit_jax.save_pretrained` wrote. Stochastic depth, which both have in Swin by themselves, is left out, as here.
"""

import copy
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

import vit_jax
from benchmarks.throughput.jax_programs import LEARNING_RATE, WEIGHT_DECAY
from benchmarks.throughput.program import Program, is_out_of_memory
from benchmarks.throughput.workload import GPU_SHARE, Batch, Setting, Workload
from vit_jax.data.workers import cores

# isort: split
# First: it prepares for the import of torchvision, which timm imports, and transformers below.
import tests.models.timm_reference  # noqa: F401

# isort: split
import timm  # pyright: ignore[reportMissingImports]

MODES = {"timm_compiled": "default", "timm_autotuned": "max-autotune-no-cudagraphs"}
"""Of torch.compile, for the implementations that it makes; the others are eager."""


@dataclass(frozen=True)
class TorchImplementation:
    """A network in PyTorch.

    Attributes:
        name: of the implementation.
        build: makes the network with its parameters, anew for each program, as training changes them.
        setting: how it is measured.
        mode: of torch.compile; None where the network is eager.
    """

    name: str
    build: Callable[[], torch.nn.Module]
    setting: Setting
    mode: str | None

    def inference(self, batch: Batch) -> Program:
        """The logits of a batch, `dispatches` times."""
        before, network, images, _ = self.placed(batch)
        network.eval()

        def run(calls: int) -> np.ndarray:
            with torch.inference_mode(), self.precision():
                for _ in range(calls - 1):
                    network(images)
                return network(images).float().cpu().numpy()

        return self.program(run, self.setting.dispatches, before, len(images))

    def training(self, batch: Batch, parts: int) -> Program:
        """As many steps of training as the others do in a turn."""
        before, network, images, labels = self.placed(batch)
        network.train()
        optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)

        def run(steps: int) -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                for some, their_labels in zip(images.chunk(parts), labels.chunk(parts), strict=True):
                    with self.precision():
                        logits = network(some)
                    (torch.nn.functional.cross_entropy(logits.float(), their_labels) / parts).backward()
                optimizer.step()
            if self.setting.device == "gpu":
                torch.cuda.synchronize()

        return self.program(run, self.setting.steps * self.setting.dispatches, before, len(images))

    def placed(self, batch: Batch) -> tuple[int, Any, torch.Tensor, torch.Tensor]:
        """Bytes that PyTorch had on the GPU before; the network, images and labels on the device."""
        device = "cuda" if self.setting.device == "gpu" else "cpu"
        before = torch.cuda.memory_allocated() if device == "cuda" else 0
        images = torch.tensor(batch[0]).permute(0, 3, 1, 2)  # [B, C, H, W]; channels last in memory, on the CPU too
        network: Any = self.build().to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if self.mode is not None:
            network = torch.compile(network, fullgraph=True, dynamic=False, mode=self.mode)
        return before, network, images.to(device), torch.tensor(batch[1], dtype=torch.int64, device=device)

    def precision(self) -> AbstractContextManager:
        """Products in bfloat16 on a GPU."""
        return torch.autocast("cuda", torch.bfloat16, enabled=self.setting.device == "gpu")

    def program(self, run: Callable[[int], Any], repeats: int, before: int, batch: int) -> Program:
        """The program of a function that is called for the first time here.

        Args:
            run: does as many calls or steps as it is told.
            repeats: of these in a turn.
            before: bytes that PyTorch had on the GPU.
            batch: images in a call.

        Raises:
            RuntimeError: if torch.compile fails.
        """
        on_gpu = self.setting.device == "gpu"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        compiling = None
        if self.mode is not None:
            try:
                compiling = seconds(run)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise RuntimeError(f"torch.compile failed: {type(error).__name__}: {error}") from error
        steady = seconds(run)
        peak = torch.cuda.max_memory_allocated() - before if on_gpu else None
        return Program(lambda: run(repeats), batch * repeats, 1, compiling and max(0.0, compiling - steady), peak)


def seconds(run: Callable[[int], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    run(1)
    return time.perf_counter() - start


class Logits(torch.nn.Module):
    """A network of transformers that gives the logits alone."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images).logits


def timm_network(work: Workload) -> torch.nn.Module:
    """timm's network; its attention is PyTorch's `scaled_dot_product_attention`."""
    with tempfile.TemporaryDirectory() as directory:
        vit_jax.save_pretrained(directory, work.model, work.params, format="timm")
        return timm.create_model(f"local-dir:{directory}", pretrained=True, drop_path_rate=0.0)


def transformers_network(work: Workload) -> torch.nn.Module:
    """transformers' network, with the attention that it takes by itself: PyTorch's where it has that."""
    import transformers  # pyright: ignore[reportMissingImports]: timm is measured without it

    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as directory:
        vit_jax.save_pretrained(Path(directory), work.model, work.params, format="huggingface")
        config = transformers.AutoConfig.from_pretrained(directory, drop_path_rate=0.0)  # ignored by ViT's
        return Logits(transformers.AutoModelForImageClassification.from_pretrained(directory, config=config))


def torch_peer(name: str, work: Workload, setting: Setting) -> TorchImplementation:
    """An implementation by its name: "transformers", "timm", or timm's with another of the `MODES`.

    Raises:
        ValueError: if that library has no such network.
    """
    torch.set_num_threads(cores())
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 64  # each batch and each network is a compilation of the same code
    torch.compiler.config.force_disable_caches = True  # seconds of compilation are measured, too
    if setting.device == "gpu":
        torch.cuda.set_per_process_memory_fraction(GPU_SHARE)
        torch.backends.cudnn.benchmark = True  # as timm's own benchmark does
    network = transformers_network(work) if name == "transformers" else timm_network(work)
    return TorchImplementation(name, lambda: copy.deepcopy(network), setting, MODES.get(name))
