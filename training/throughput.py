"""How fast a run trains: pictures a second, and what share of the device's peak that is.

The peak is measured, not looked up: what a large matrix product reaches on the device at hand.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities.throughput import measure_flops
from lightning.pytorch.callbacks import Callback

from training.lightning_module import InpaintingModule
from training.model import MODEL_SIZE, InpaintingModel, ModelConfig

if TYPE_CHECKING:
    import lightning as L  # noqa: N812


PRODUCT_SIDE = 8192


class Throughput(Callback):
    """Logs `pictures_per_s` and, on a GPU, `peak_share` at every logging step, when the host waits for it anyway.

    Lightning's own `ThroughputMonitor` waits for the device after every step.
    """

    def __init__(self) -> None:
        self.since: tuple[float, int] | None = None
        self.peak: float | None = None
        self.flops = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find what the device can do and what a picture costs."""
        assert isinstance(pl_module, InpaintingModule)  # noqa: S101 (the command line trains nothing else)
        if trainer.strategy.root_device.type == "cuda":
            dtype = torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float32
            self.peak = matmul_peak(trainer.strategy.root_device, dtype)
            self.flops = flops_per_picture(pl_module.model.config)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the speed since the last logging step."""
        if trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        if self.since is not None:
            pictures = (trainer.global_step - self.since[1]) * len(batch[0]) * trainer.world_size
            speed = pictures / (now - self.since[0])
            logged = {"pictures_per_s": speed}
            if self.peak is not None:
                logged["peak_share"] = speed * self.flops / (self.peak * trainer.world_size)
            pl_module.log_dict(logged, prog_bar=True)
        self.since = now, trainer.global_step

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the time of a validation out."""
        self.since = None


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure a large matrix product on a GPU, in floating-point operations per second."""
    a, b = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    times = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        torch.mm(a, b, out=product)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return float(2 * PRODUCT_SIDE**3 / min(times))


def flops_per_picture(config: ModelConfig) -> int:
    """Count the floating-point operations of the network's forward and backward pass for one picture."""
    with torch.device("meta"):
        model = InpaintingModel(config)
        image = torch.empty(1, 3, MODEL_SIZE, MODEL_SIZE)
        return measure_flops(model, lambda: model(image, image[:, :1]), torch.Tensor.sum)
