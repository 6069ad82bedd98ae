"""The configurations and the module built from them: the report's recipe to the letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
import pytest
import torch
import yaml
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

import training
from training.losses import LossConfig, pixel_loss
from training.module import InpaintingModule, OptimizerConfig, warmup_cosine
from training.network.model import ModelConfig
from training.transforms import to_model

CONFIGS = Path(training.__file__).parent / "configs"
NARROW = ModelConfig("report", 2)


def config(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return loaded


class TestReport:
    """MSE, Adam, batches of 5, 20 epochs: 8 at 1e-3 and 12 at 1e-4."""

    def test_settings(self) -> None:
        report = config("report")
        assert ModelConfig(**report["model"]["network"]) == ModelConfig("report", 64)
        assert LossConfig(**report["model"]["loss"]) == LossConfig(norm="l2", hole=1.0, known=1.0)
        assert report["data"]["batch_size"] == 5
        assert report["data"]["masks"] == {"report-code": 1.0}
        assert report["trainer"]["max_epochs"] == 20
        assert "ema" not in report

    def test_optimiser_and_learning_rates(self) -> None:
        module = InpaintingModule(NARROW, optimizer=OptimizerConfig(**config("report")["model"]["optimizer"]))
        built = module.configure_optimizers()
        optimizer, schedule = built["optimizer"], built["lr_scheduler"]
        assert not isinstance(schedule, LRScheduler)
        assert type(optimizer) is torch.optim.Adam
        group = optimizer.param_groups[0]
        assert group["betas"] == (0.9, 0.999)
        assert group["weight_decay"] == 0
        assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in module.model.parameters())
        assert schedule["interval"] == "epoch"
        rates = []
        for _ in range(config("report")["trainer"]["max_epochs"]):
            rates.append(group["lr"])
            optimizer.step()
            schedule["scheduler"].step()
        assert rates == pytest.approx([1e-3] * 8 + [1e-4] * 12)


class TestDefault:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("default", "residual"),
            ("full", "residual"),
            ("correction", "correction"),
            ("coarse-to-fine", "coarse-to-fine"),
            ("face-aware", "coarse-to-fine"),
        ],
    )
    def test_settings(self, name: str, kind: str) -> None:
        default = config(name)
        assert ModelConfig(**default["model"]["network"]).kind == kind
        loss = LossConfig(**default["model"]["loss"])
        assert loss.hole > loss.known >= 0
        assert sum(default["data"]["masks"].values()) == pytest.approx(1)
        assert 0 < default["ema"] < 1

    def test_optimiser_and_learning_rates(self) -> None:
        settings = OptimizerConfig(**config("default")["model"]["optimizer"])
        module = InpaintingModule(NARROW, optimizer=settings)
        steps = 1000
        module.trainer = L.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False
        )
        built = module.configure_optimizers()
        optimizer, schedule = built["optimizer"], built["lr_scheduler"]
        assert not isinstance(schedule, LRScheduler)
        assert type(optimizer) is torch.optim.AdamW
        assert schedule["interval"] == "step"
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule["scheduler"].step()
        top = rates.index(max(rates))
        assert max(rates) == pytest.approx(settings.learning_rate)
        assert top in (settings.warmup_steps - 1, settings.warmup_steps)
        assert rates[:top] == sorted(rates[:top])
        assert rates[top:] == sorted(rates[top:], reverse=True)
        assert rates[-1] < 1e-4 * settings.learning_rate


def test_warm_up_and_cosine() -> None:
    assert [warmup_cosine(step, 4, 104) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert warmup_cosine(54, 4, 104) == pytest.approx(0.5)
    assert warmup_cosine(104, 4, 104) == pytest.approx(0)
    assert warmup_cosine(200, 4, 104) == pytest.approx(0)  # beyond the end
    assert warmup_cosine(0, 0, 10) == 1  # no warm-up


@pytest.mark.parametrize(
    ("network", "rate"),
    [
        (ModelConfig("report", 4), 1e-2),
        (ModelConfig("residual", 4), 1e-2),
        (ModelConfig("correction", 4), 3e-3),
        (ModelConfig("coarse-to-fine", 4), 3e-3),
        (ModelConfig("coarse-to-fine", 4, face_aware=True), 3e-3),
    ],
    ids=str,
)
def test_a_few_steps_learn_one_picture(face: Any, network: ModelConfig, rate: float) -> None:
    """Network, loss and optimiser together lower the loss on a repeated batch."""
    torch.manual_seed(0)
    loss = LossConfig("l1", hole=5.0, known=0.05)
    module = InpaintingModule(network, loss, OptimizerConfig("adam", rate))
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, 20:45, 15:50] = 255
    batch = (torch.from_numpy(face[60:124, 60:124].copy())[None], masks)
    optimizer = module.configure_optimizers()["optimizer"]
    losses = []
    for step in range(20):
        value = pixel_loss(module.model.predict(*to_model(*batch)), *to_model(*batch), loss)
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert value.isfinite(), step
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*is deprecated, use `isinstance:FutureWarning")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_gradients_norm_is_clipped(face: Any, precision: Any) -> None:
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, 20:45, 15:50] = 255
    batch = to_model(torch.from_numpy(face[60:124, 60:124].copy())[None], masks)
    module = InpaintingModule(ModelConfig("residual", 4), optimizer=OptimizerConfig("adamw"))
    trainer = L.Trainer(
        max_steps=1,
        limit_val_batches=0,
        precision=precision,
        gradient_clip_val=1e-4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    pictures: Any = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]  # a list is a dataset, too
    trainer.fit(module, pictures, pictures)
    norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-4, rel=1e-2)
