"""The benchmarks measure what they say they measure. No test here asserts how long anything takes."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
import torch
from engines import MODEL
from torch import nn

from benchmarks import inference, machine, server, timing
from benchmarks.__main__ import main
from benchmarks.literal_network import LiteralUNet
from benchmarks.timing import Timing
from serving.core.runtime import Runtime
from training.network.model import InpaintingModel, ModelConfig
from training.network.partial_conv import coverage
from training.network.report_unet import PartialConvUNet
from training.weights import save_weights

# --- the report's literal network --------------------------------------------------------------------------------


RENAMED = (
    (r"^up\.(\d)\.", r"up.\1.up."),
    (r"^block\.(\d)\.", r"up.\1.block."),
    (r"\.first\.conv\.", ".conv1.conv."),
    (r"\.second\.conv\.", ".conv2.conv."),
    (r"\.first\.norm\.", ".norm1."),
    (r"\.second\.norm\.", ".norm2."),
)
"""What our network calls the literal one's layers."""


def renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.mark.parametrize(("height", "width"), [(64, 64), (89, 50), (178, 178)])
@torch.inference_mode()
def test_the_literal_network_computes_what_ours_does(height: int, width: int) -> None:
    torch.manual_seed(0)
    literal, ours = LiteralUNet(2), PartialConvUNet(2)
    for norm in (m for m in literal.modules() if isinstance(m, nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        nn.init.normal_(norm.running_mean, std=0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    for convolution in (m for m in literal.modules() if isinstance(m, nn.Conv2d)):
        convolution.weight *= 3  # so that differences between masks reach the output
    weights = {name: value for name, value in literal.state_dict().items() if not name.endswith("window")}
    ours.load_state_dict({renamed(name): value for name, value in weights.items()})
    literal.double().eval()
    ours.double().eval()
    image, mask = torch.rand(2, 3, height, width).double(), (torch.rand(2, 1, height, width) > 0.2).double()
    mask[:, :, height // 4 : -2, width // 4 : width // 2] = 0
    expected = ours(image * mask, coverage([mask], [3]))
    assert expected.std() > 0.01
    torch.testing.assert_close(literal(image, mask), expected, rtol=1e-10, atol=1e-12)


def test_it_convolves_masks_as_much_as_features() -> None:
    weights = LiteralUNet(2).state_dict()
    windows = [name for name in weights if name.endswith(".window")]
    assert windows
    for name in windows:
        assert weights[name].shape == weights[name.replace(".window", ".conv.weight")].shape


# --- timing ------------------------------------------------------------------------------------------------------


def test_ways_take_turns() -> None:
    calls: list[str] = []
    ways = {"first": lambda: calls.append("first"), "second": lambda: calls.append("second")}
    timings = timing.time_in_turns(ways, 4, "test", warmup=1)
    # In each of one and four rounds, each way is called twice: to settle the machine, and to be timed.
    assert calls == ["first", "first", "second", "second"] * 5
    assert [t.name for t in timings] == ["first", "second"]
    assert all(0 <= t.least <= t.p50 <= t.p90 for t in timings)


def test_the_table_compares_medians() -> None:
    timings = [Timing("slow", 100.0, 150.04, 90.0), Timing("fast", 8.0, 9.0, 7.0)]
    assert timing.to_markdown(timings, ["slow"]) == (
        "|  | p50 (ms) | p90 (ms) | least (ms) | times as fast as slow |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| slow | 100.0 | 150.0 | 90.0 | 1.0 |\n"
        "| fast | 8.0 | 9.0 | 7.0 | 12.5 |"
    )


def test_the_machine_is_named() -> None:
    facts = machine.facts(threads=3)
    assert facts["threads"] == 3
    assert facts["torch"] == torch.__version__
    assert facts["processor"]
    json.dumps(facts)
    assert "threads 3" in machine.to_markdown(facts)


# --- the real benchmarks, briefly --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_checkpoint_is_timed_in_every_form(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    save_weights(weights, InpaintingModel(ModelConfig("correction", 1)), {})
    timings = inference.shipped(weights, threads=1, rounds=2)
    names = ["eager PyTorch", "ONNX Runtime, float32", "ONNX Runtime, int8"]
    assert [t.name for t in timings] == names
    assert all(t.least > 0 for t in timings)


@pytest.mark.engines
def test_a_server_is_measured_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINT_API_KEY", "the user's own, of no concern here")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr("benchmarks.capacity.LARGE", (900, 1200))
    before = psutil.Process().children()
    figures = server.measure(MODEL, Runtime(MODEL, threads=1), threads=1, rounds=2)
    assert psutil.Process().children() == before
    alone, multipart, document, single = figures.timings
    assert figures.load.possible_a_second == 1000 / single.p50
    assert figures.load.answers_a_second > 0
    assert 0 < figures.load.beside_p50 <= figures.load.beside_p99
    assert figures.load.large_seconds > 0
    assert figures.overhead_ms == {
        multipart.name: multipart.p50 - alone.p50,
        document.name: document.p50 - alone.p50,
    }
    assert figures.ready_seconds > 0
    assert 20 < figures.idle_mib < 2000
    assert 20 < figures.loaded_mib < 2000
    text = server.to_markdown(figures)
    assert f"{figures.load.answers_a_second / figures.load.possible_a_second:.2f} |" in text
    assert f"{multipart.name} {figures.overhead_ms[multipart.name]:.1f} ms" in text
    json.dumps(asdict(figures))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "missing.safetensors"], "there is no weights file missing.safetensors"),
        (["--model", "missing.onnx"], "There is no model file missing.onnx"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err


@pytest.mark.parametrize("arguments", [["--rounds", "1"], ["--threads", "0"], ["--speed"]])
def test_a_misspelt_command_line_is_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err
