"""`python -m training fit` from end to end with all shipped configurations, on a network of width 2."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import training_runs as runs
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.callbacks import AtomicCheckpointIO
from training.cases import cases_of
from training.files import sha256
from training.fit import FitCommand
from training.metrics import psnr, ssim
from training.module import InpaintingModule
from training.network.model import InpaintingModel, ModelConfig
from training.plots import draw_curves
from training.precision import choose_precision
from training.transforms import to_model
from training.weights import git_commit, load_weights, model_from_lightning, save_weights

pytestmark = [
    # Lightning's command line still uses names that jsonargparse has deprecated.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    # On machines with more than two cores Lightning suggests more loader processes; ours have little to load.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


def validation_figures(model: InpaintingModel, celeba: Path, size: int = 178) -> tuple[float, float]:
    """Mean PSNR and SSIM over the validation pictures, computed without the training loop."""
    figures = []
    for case in cases_of(celeba, "val", ["report-text"], None, seed=0, size=size):
        image, mask = case.load()
        with torch.inference_mode():
            answer = model(*to_model(torch.from_numpy(image)[None], torch.from_numpy(mask)[None]))
        filled = (answer[0] * 255).round().byte().permute(1, 2, 0).numpy()
        figures.append((psnr(image, filled), ssim(image, filled)))
    first, second = np.mean(figures, axis=0)
    return float(first), float(second)


class TestReport:
    def test_leaves_everything_there(self, report: Path) -> None:
        left = {str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()}
        events = {path for path in left if path.startswith("tensorboard/version_0/events.out.tfevents.")}
        assert len(events) == 1
        assert left - events == {
            "best.ckpt",
            "last.ckpt",
            "inpaint.safetensors",
            "curves.png",
            "logs/version_0/hparams.yaml",
            "logs/version_0/metrics.csv",
            "tensorboard/version_0/hparams.yaml",
        }

    def test_logs_every_step_and_validation(self, report: Path) -> None:
        logged = runs.curves(report)
        assert sorted(logged["train_loss"]) == list(range(18))
        assert (
            sorted(logged["val_psnr"])
            == sorted(logged["val_loss"])
            == sorted(logged["val_ssim"])
            == [5, 11, 17]
        )
        assert all(np.isfinite(list(series.values())).all() for series in logged.values())

    def test_lowers_the_learning_rate_after_eight_epochs(self, report: Path) -> None:
        rates = runs.curves(report)["lr-Adam"]
        assert [rates[step] for step in range(18)] == pytest.approx([1e-3] * 16 + [1e-4] * 2)

    def test_tensorboard_has_the_same(self, report: Path) -> None:
        events = EventAccumulator(str(report / "tensorboard" / "version_0"))
        events.Reload()
        shown = {event.step: event.value for event in events.Scalars("train_loss")}
        assert shown == pytest.approx(runs.curves(report)["train_loss"])

    def test_the_configuration_is_logged(self, report: Path) -> None:
        for folder in ("logs", "tensorboard"):
            logged = yaml.safe_load((report / folder / "version_0" / "hparams.yaml").read_text())
            assert logged["model"]["optimizer"]["learning_rate"] == 1e-3
            assert logged["data"]["batch_size"] == 5

    def test_tensorboard_shows_sample_pictures_of_each_validation(self, report: Path, celeba: Path) -> None:
        events = EventAccumulator(str(report / "tensorboard" / "version_0"))
        events.Reload()
        shown = events.Images("validation")
        assert [event.step for event in shown] == [6, 12, 18]
        sheet = cv2.imdecode(np.frombuffer(shown[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert sheet is not None
        image, mask = cases_of(celeba, "val", ["report-text"], 1)[0].load()
        masked, filled, truth = (sheet[16:194, left : left + 178] for left in (0, 182, 364))
        np.testing.assert_array_equal(truth, image)
        np.testing.assert_array_equal(masked, np.where(mask[..., None] > 0, 255, image))
        np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])

    def test_curves_are_a_picture(self, report: Path) -> None:
        picture = cv2.imread(str(report / "curves.png"))
        assert picture is not None
        assert picture.std() > 10

    def test_weights_are_the_best_of_the_validations(self, report: Path, celeba: Path) -> None:
        """Measured again without the training loop, the weights have the best validation's logged figures."""
        model, provenance = load_weights(report / "inpaint.safetensors")
        logged = runs.curves(report)
        best = max(logged["val_psnr"], key=lambda step: logged["val_psnr"][step])
        assert provenance["metrics"]["val_psnr"] == pytest.approx(logged["val_psnr"][best])
        assert validation_figures(model, celeba) == pytest.approx(
            (logged["val_psnr"][best], logged["val_ssim"][best]), abs=1e-4
        )

    def test_provenance_says_where_the_weights_come_from(self, report: Path, celeba: Path) -> None:
        model, provenance = load_weights(report / "inpaint.safetensors")
        assert model.config == ModelConfig("report", 2)
        config = provenance["config"]
        assert config["model"]["network"] == {"kind": "report", "width": 2, "face_aware": False}
        assert config["model"]["optimizer"]["name"] == "adam"
        assert config["data"]["root"] == str(celeba)
        assert config["data"]["batch_size"] == 5
        assert config["trainer"]["max_epochs"] == 9
        assert provenance["git_commit"] == git_commit()
        assert provenance["step"] in {6, 12, 18}

    def test_an_existing_run_is_not_overwritten(
        self, report: Path, celeba: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = runs.hashes(report)
        assert runs.run_here(runs.arguments("report", celeba, report, *runs.REPORT)) == 1
        assert "already holds a run; resume it with `--ckpt_path last`" in capsys.readouterr().err
        assert runs.hashes(report) == before

    def test_a_finished_run_can_be_moved_and_go_on(self, report: Path, celeba: Path, tmp_path: Path) -> None:
        """It still knows its best score, so a worse validation does not overwrite the best checkpoint."""
        longer = tmp_path / "longer"
        shutil.copytree(report, longer)
        more = ("--trainer.max_epochs", "10", "--ckpt_path", "last")
        assert (
            runs.run_here(
                runs.arguments("report", celeba, longer, "--trainer.check_val_every_n_epoch", "3", *more)
            )
            == 0
        )
        last = runs.checkpoint(longer / "last.ckpt")
        assert last["global_step"] == 20
        (score,) = (
            s["best_model_score"] for s in last["callbacks"].values() if s.get("monitor") == "val_psnr"
        )
        assert score.item() == pytest.approx(max(runs.curves(report)["val_psnr"].values()))
        logged, before = runs.curves(longer), runs.curves(report)
        assert sorted(logged["train_loss"]) == list(range(20))
        assert all(logged["train_loss"][step] == before["train_loss"][step] for step in range(18))
        assert logged["lr-Adam"][19] == pytest.approx(1e-4)
        draw_curves(longer / "logs", tmp_path / "curves.png")
        assert sha256(longer / "curves.png") == sha256(tmp_path / "curves.png")  # drawn up to the last step

    def test_the_weights_command_writes_the_best_again(
        self, report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copy(report / "best.ckpt", tmp_path / "best.ckpt")
        assert runs.run_here(["weights", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"weights: {tmp_path / 'inpaint.safetensors'}\n"
        again, first = (load_weights(folder / "inpaint.safetensors")[0] for folder in (tmp_path, report))
        assert all(torch.equal(again.state_dict()[k], v) for k, v in first.state_dict().items())


def test_a_folder_beyond_the_memory_budget_trains_as_one_within(
    report: Path, celeba: Path, tmp_path: Path
) -> None:
    """With 14 pictures of 95 kB and a budget of 1 MB, a loader process decodes a picture for each draw."""
    options = ("--trainer.max_epochs", "2", "--data.memory", "1e6", "--data.workers", "1")
    assert runs.run_here(runs.arguments("report", celeba, tmp_path, *options)) == 0
    whole = runs.curves(report)["train_loss"]
    assert runs.curves(tmp_path)["train_loss"] == pytest.approx({s: whole[s] for s in range(4)}, rel=1e-3)


# Lightning warns that each resumed run lacks the callback that saved every step, and has a folder of its own.
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_can_be_resumed_from_any_of_its_steps(celeba: Path, tmp_path: Path) -> None:
    """The report's recipe, within and between its epochs of 2 steps: the same weights, to float noise."""
    options = ("--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "3")
    every_step = (
        *("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath", str(tmp_path / "steps")),
        *("--trainer.callbacks.filename", "{step}", "--trainer.callbacks.every_n_train_steps", "1"),
        *("--trainer.callbacks.save_top_k", "-1"),
    )
    whole = tmp_path / "whole"
    assert runs.run_here(runs.arguments("report", celeba, whole, *options, *every_step)) == 0
    expected, losses = runs.checkpoint(whole / "last.ckpt")["state_dict"], runs.curves(whole)["train_loss"]
    for step in range(1, 6):
        rest, start = tmp_path / f"from {step}", str(tmp_path / "steps" / f"step={step}.ckpt")
        assert runs.run_here(runs.arguments("report", celeba, rest, *options, "--ckpt_path", start)) == 0
        assert runs.curves(rest)["train_loss"] == pytest.approx(
            {s: losses[s] for s in range(step, 6)}, rel=1e-5
        )
        got = runs.checkpoint(rest / "last.ckpt")["state_dict"]
        for name, tensor in expected.items():
            torch.testing.assert_close(
                got[name], tensor, rtol=1e-5, atol=1e-7, msg=f"{name} from step {step}"
            )


@pytest.fixture(scope="module")
def correction(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitCommand]:
    """A finished run at half size, weight averaging included, with a user's own callback."""
    run = tmp_path_factory.mktemp("correction") / "run"
    own = (
        *(
            "--trainer.callbacks+=training_callbacks.RecordDraws",
            "--trainer.callbacks.folder",
            str(run / "draws"),
        ),
        *("--model.optimizer.warmup_steps", "2"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv",
            ["python -m training", *runs.arguments("correction", celeba, run, *runs.DEFAULT, *own)],
        )
        return run, FitCommand()


class TestCorrection:
    def test_logs_every_step_and_validation(self, correction: tuple[Path, FitCommand]) -> None:
        logged = runs.curves(correction[0])
        assert sorted(logged["train_loss"]) == list(range(10))
        assert sorted(logged["val_psnr"]) == [4, 9]
        rates = [logged["lr-AdamW"][step] for step in range(10)]
        assert rates[1] == max(rates)
        assert rates[1:] == sorted(rates[1:], reverse=True)

    def test_trains_a_correction_network(self, correction: tuple[Path, FitCommand]) -> None:
        assert load_weights(correction[0] / "inpaint.safetensors")[0].config == ModelConfig("correction", 2)

    def test_weights_are_the_averaged_ones(self, correction: tuple[Path, FitCommand]) -> None:
        run, _ = correction
        model, _ = load_weights(run / "inpaint.safetensors")
        best = runs.checkpoint(run / "best.ckpt")
        averaged, current = best["state_dict"], best["current_model_state"]
        names = [f"model.{name}" for name, _ in model.named_parameters()]
        assert all(torch.equal(model.state_dict()[n.removeprefix("model.")], averaged[n]) for n in names)
        assert any(not torch.equal(averaged[n], current[n]) for n in names)

    def test_weights_are_the_ones_that_were_validated(
        self, correction: tuple[Path, FitCommand], celeba: Path
    ) -> None:
        model, provenance = load_weights(correction[0] / "inpaint.safetensors")
        measured, _ = validation_figures(model, celeba, provenance["config"]["data"]["size"])
        assert measured == pytest.approx(provenance["metrics"]["val_psnr"], abs=0.01)

    def test_the_last_checkpoint_is_the_last_step_with_its_own_weights(
        self, correction: tuple[Path, FitCommand]
    ) -> None:
        last = runs.checkpoint(correction[0] / "last.ckpt")
        averaged, current = last["state_dict"], last["current_model_state"]
        assert last["global_step"] == 10
        assert any(not torch.equal(averaged[name], current[name]) for name in averaged)

    def test_a_users_own_callback_takes_part(self, correction: tuple[Path, FitCommand]) -> None:
        assert len((correction[0] / "draws" / "0.jsonl").read_text().splitlines()) == 10

    def test_checkpoints_are_written_by_our_own_means(self, correction: tuple[Path, FitCommand]) -> None:
        assert isinstance(correction[1].trainer.strategy.checkpoint_io, AtomicCheckpointIO)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a network of width 2."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    torch.manual_seed(0)
    save_weights(path, InpaintingModel(ModelConfig("residual", 2)), {})
    return path


class TestFull:
    """The full network's recipe, uncompiled, with an adversary, started from given weights."""

    def options(self, celeba: Path, run: Path, *more: str) -> list[str]:
        small = ("--model.compile", "false", "--trainer.max_steps", "1", "--trainer.val_check_interval", "1")
        return runs.arguments("full", celeba, run, *runs.DEFAULT, *small, *more)

    def test_an_adversary_trains_beside_the_network(self, celeba: Path, tmp_path: Path, start: Path) -> None:
        more = ("--model.start", str(start), "--model.loss.adversary", "0.3", "--trainer.max_steps", "2")
        assert runs.run_here(self.options(celeba, tmp_path, *more)) == 0
        state = runs.checkpoint(tmp_path / "last.ckpt")
        judge = [name for name in state["state_dict"] if name.startswith("objective.discriminator.")]
        first, second = state["optimizer_states"][0]["param_groups"]
        assert second["initial_lr"] == 2 * first["initial_lr"]
        assert judge
        assert runs.curves(tmp_path)["train_loss"][1] < 0  # dB, without the adversarial term
        # PSNR falls with the adversary: the weights are the last ones, not those of the best validation.
        written, run = load_weights(tmp_path / "inpaint.safetensors")
        assert (written.config, run["step"]) == (ModelConfig("residual", 2), 2)
        for name, parameter in written.named_parameters():
            assert torch.equal(parameter, state["state_dict"][f"model.{name}"])

    def test_a_run_starts_from_the_weights_it_is_given(
        self, celeba: Path, tmp_path: Path, start: Path
    ) -> None:
        still = ("--model.optimizer.learning_rate", "0", "--model.start", str(start))
        assert runs.run_here(self.options(celeba, tmp_path, *still)) == 0
        given, left = (load_weights(path)[0] for path in (start, tmp_path / "inpaint.safetensors"))
        for (name, one), other in zip(given.named_parameters(), left.parameters(), strict=True):
            assert torch.equal(one, other), name

    def test_weights_of_another_network_are_refused(
        self, celeba: Path, tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        more = ("--model.start", str(start), "--model.network.width", "3")
        assert runs.run_here(self.options(celeba, tmp_path, *more)) == 1
        assert (
            "holds a network with {'kind': 'residual', 'width': 2}, but {'kind': 'residual', 'width': 3}"
            in capsys.readouterr().err
        )


def test_without_a_better_validation_the_weights_of_the_start_remain_the_best(
    celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The starting weights are validated first; a learning rate of 1 ruins them."""
    shipped = runs.REPOSITORY / "models" / "inpaint.safetensors"
    options = (
        *("--model.start", str(shipped), "--model.network.width", "16"),
        *("--model.optimizer.learning_rate", "1", "--model.optimizer.warmup_steps", "0", "--ema", "0"),
        *("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--data.size", "64"),
    )
    assert runs.run_here(runs.arguments("finetune", celeba, tmp_path, *options)) == 0
    assert capsys.readouterr().out.endswith(
        "inpaint.safetensors (the starting weights: no later validation was better)\n"
    )
    validated = runs.curves(tmp_path)["val_psnr"]
    assert sorted(validated) == [0, 1, 3]
    assert validated[0] == max(validated.values())
    written, provenance = load_weights(tmp_path / "inpaint.safetensors")
    assert provenance["step"] == 0
    given, _ = load_weights(shipped)
    assert all(torch.equal(written.state_dict()[k], v) for k, v in given.state_dict().items())


def test_finetune_starts_from_the_shipped_network() -> None:
    settings = yaml.safe_load((runs.CONFIGS / "finetune.yaml").read_text())["model"]
    shipped, _ = load_weights(runs.REPOSITORY / settings["start"])
    assert shipped.settings() == settings["network"]


def test_the_learning_rate_finder_sets_the_schedules_rate(celeba: Path, tmp_path: Path) -> None:
    options = (
        *("--trainer.callbacks+=LearningRateFinder", "--trainer.callbacks.num_training_steps", "20"),
        *("--trainer.callbacks.min_lr", "1e-5", "--trainer.callbacks.max_lr", "1e-2"),
        *("--trainer.max_steps", "3", "--model.optimizer.warmup_steps", "0", "--data.size", "64"),
        *("--data.batch_size", "2", "--model.optimizer.learning_rate", "0.5"),
    )
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options)) == 0
    rates = runs.curves(tmp_path)["lr-AdamW"]
    assert sorted(rates) == [0, 1, 2]
    assert 1e-5 <= rates[0] <= 1e-2
    assert rates[0] > rates[1] > rates[2]
    assert not list(Path.cwd().glob(".lr_find*")) + list(tmp_path.glob(".lr_find*"))


def test_precision_is_chosen_by_timing(
    celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The choice is kept when the run is resumed."""
    options = ("--data.size", "64", "--data.batch_size", "2", "--trainer.precision", "auto")
    steps = ("--trainer.max_steps", "2"), ("--trainer.max_steps", "3", "--ckpt_path", "last")
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options, *steps[0])) == 0
    (said,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("precision: "))
    chosen = said.split()[1]
    assert chosen in {"32-true", "bf16-mixed"}
    run = json.loads(runs.checkpoint(tmp_path / "last.ckpt")["run"])
    assert run["config"]["trainer"]["precision"] == chosen
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options, *steps[1])) == 0
    assert "precision: " not in capsys.readouterr().out


@pytest.mark.parametrize(("slower", "chosen"), [(True, "bf16-mixed"), (False, "32-true")])
def test_the_faster_precision_is_chosen(monkeypatch: pytest.MonkeyPatch, slower: bool, chosen: str) -> None:
    """Either the float32 or the bf16 steps are slowed down."""
    module = InpaintingModule(ModelConfig("residual", 2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    predict = InpaintingModel.predict

    def slowly(model: InpaintingModel, *batch: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu") != slower:
            time.sleep(0.5)
        return predict(model, *batch)

    monkeypatch.setattr(InpaintingModel, "predict", slowly)
    assert choose_precision(module, 1, 32, torch.device("cpu")) == chosen
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_the_best_checkpoint_is_readable_as_a_model(report: Path) -> None:
    model, run = model_from_lightning(report / "best.ckpt")
    assert model.config == ModelConfig("report", 2)
    assert set(run) == {"config", "step", "epoch", "metrics"}


# --- runs that end early, and loggers ------------------------------------------------------------------------------


def test_a_run_that_ends_before_its_first_validation_leaves_weights(
    celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--trainer.max_steps", "3", "--trainer.val_check_interval", "100", "--data.batch_size", "3")
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options)) == 0
    weights = tmp_path / "inpaint.safetensors"
    assert capsys.readouterr().out == f"weights: {weights} (step 3; the run has no validation yet)\n"
    model, provenance = load_weights(weights)
    last = runs.checkpoint(tmp_path / "last.ckpt")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, last["state_dict"][f"model.{name}"])  # the averaged ones
    assert provenance["step"] == 3
    assert not (tmp_path / "best.ckpt").exists()


SHORT = ("--trainer.max_epochs", "1")


def test_a_users_logger_replaces_tensorboard(celeba: Path, tmp_path: Path) -> None:
    """The CSV log, which the curves are drawn from, stays."""
    logger = ("--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "mine"))
    assert runs.run_here(runs.arguments("report", celeba, tmp_path / "run", *SHORT, *logger)) == 0
    (mine,) = (tmp_path / "mine").rglob("metrics.csv")
    (ours,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    assert "val_psnr" in mine.read_text()
    assert "val_psnr" in ours.read_text()
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert (tmp_path / "run" / "curves.png").is_file()


def test_no_logger_at_all(celeba: Path, tmp_path: Path) -> None:
    options = (*SHORT, "--trainer.logger", "false")
    assert runs.run_here(runs.arguments("report", celeba, tmp_path, *options)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt", "inpaint.safetensors"}
