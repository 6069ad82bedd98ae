"""The parity gate lets good artifacts pass, stops every damaged one, and says which probe it failed on."""

from __future__ import annotations

import json
import math
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import damage
import numpy as np
import onnx
import pytest
import torch
from exporting import Completed
from random_networks import random_network

from export import runtimes
from export.__main__ import main
from export.errors import ArtifactError
from export.onnx import load_artifact, set_metadata
from export.parity import check
from export.probes import Probe, probes_of
from export.runtimes import installed_runtimes, onnx_runtime_cpu, onnx_runtime_web
from export.verdicts import TOLERANCES, Comparison, judge, tolerance_of
from training.errors import DataError
from training.files import sha256
from training.masks import PRESETS
from training.network.model import InpaintingModel
from training.pictures import find_pictures
from training.weights import save_weights


@dataclass(frozen=True)
class Report:
    """One run of the command: how it ended and what it wrote."""

    completed: Completed
    markdown: str
    document: list[dict[str, Any]]

    def failures(self, artifact: str) -> list[str]:
        (verdict,) = (v for v in self.document if v["artifact"] == artifact)
        assert verdict["passed"] == (not verdict["failures"])
        failures: list[str] = verdict["failures"]
        assert all(failure.startswith(f"{CPU.name}: ") for failure in failures)
        return [failure.removeprefix(f"{CPU.name}: ") for failure in failures]


CPU = onnx_runtime_cpu()


def comparisons_of(verdict: dict[str, Any], runtime: str = CPU.name) -> list[dict[str, Any]]:
    """The comparisons of an artifact on a runtime, in a parity.json."""
    (comparisons,) = (r["comparisons"] for r in verdict["results"] if r["runtime"] == runtime)
    return list(comparisons)


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def report_of(completed: Completed, folder: Path) -> Report:
    document = json.loads((folder / "parity.json").read_text(), parse_constant=no_constant)
    return Report(completed, (folder / "parity.md").read_text(), document)


@pytest.fixture(scope="module")
def probes(photos: Path) -> dict[str, Probe]:
    return {probe.name: probe for probe in probes_of(find_pictures(photos).test[:5])}


# --- good artifacts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(exported: tuple[Completed, Path]) -> Report:
    """The verdicts of `python -m export all` on the float32, float16 and 8-bit artifact."""
    return report_of(*exported)


def test_good_artifacts_pass(good: Report) -> None:
    assert [verdict["passed"] for verdict in good.document] == [True, True, True]


def test_the_verdict_is_bound_to_what_it_measured(
    good: Report, checkpoint: Path, fp32: Path, fp16: Path, int8: Path
) -> None:
    names = [verdict["artifact"] for verdict in good.document]
    assert names == ["tiny.onnx", "tiny-fp16.onnx", "tiny-int8.onnx"]
    for verdict, artifact in zip(good.document, (fp32, fp16, int8), strict=True):
        assert verdict["precision"] == artifact.stem
        assert verdict["sha256"] == sha256(artifact)
        assert verdict["checkpoint_sha256"] == sha256(checkpoint)
        assert sha256(artifact) in good.markdown
        tolerance = TOLERANCES[artifact.stem]
        assert verdict["tolerance"] == {"max_error": tolerance.max_error, "psnr_cost": tolerance.psnr_cost}
    assert sha256(checkpoint) in good.markdown


def test_the_verdict_has_every_probe(good: Report, probes: dict[str, Probe]) -> None:
    for verdict in good.document:
        assert [c["probe"] for c in comparisons_of(verdict)] == list(probes)
        for comparison in comparisons_of(verdict):
            assert set(comparison) == set(Comparison.__dataclass_fields__)
            assert comparison["known_exact"] is True
            assert math.isfinite(comparison["max_error"])
    for name in probes:
        # For each artifact, one row of its results on the CPU, and one of its largest errors by runtime.
        assert good.markdown.count(f"| {name} |") == 2 * 3


def test_the_artifacts_ran_on_every_runtime_that_is_installed(good: Report) -> None:
    installed, left_out = installed_runtimes()
    assert installed[0].name == CPU.name
    for verdict in good.document:
        assert [results["runtime"] for results in verdict["results"]] == [r.name for r in installed]
        tolerance = TOLERANCES[verdict["precision"]]
        for runtime in installed:
            comparisons = comparisons_of(verdict, runtime.name)
            assert all(c["known_exact"] and c["max_error"] <= tolerance.max_error for c in comparisons)
            assert any(c["judges_quality"] for c in comparisons) == (runtime.pictures is None)
    assert all(f"- Left out: {reason}." in good.markdown for reason in left_out)


def test_the_three_precisions_are_told_apart(good: Report) -> None:
    """The gate did measure three artifacts, each coarser than the one before."""
    errors = [max(c["max_error"] for c in comparisons_of(verdict)) for verdict in good.document]
    assert 0 < errors[0] <= 1e-4
    assert errors[0] * 3 < errors[1] <= 0.02
    assert errors[1] * 3 < errors[2] <= 0.25


# --- damaged artifacts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(
    checkpoint: Path, fp32: Path, int8: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Report:
    """Damaged artifacts and a good one, all in one run on one runtime."""
    folder = tmp_path_factory.mktemp("bad")
    artifacts = [
        damage.perturbed_weight(fp32, folder / "perturbed.onnx"),
        damage.without_clamps(fp32, folder / "clamps.onnx"),
        fp32,
        damage.touched_known_pixels(fp32, folder / "known.onnx"),
        damage.louder_correction(int8, folder / "loud.onnx", 2.0),
    ]
    options = ("--data", photos, "--count", "5", "-o", folder / "verdicts")
    arguments = [str(argument) for argument in ("parity", checkpoint, *artifacts, *options)]
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(StringIO()) as stdout,
        redirect_stderr(StringIO()) as stderr,
    ):
        patch.setattr(runtimes, "installed_runtimes", lambda: ([CPU], []))
        code = main(arguments)
    completed = Completed(arguments, code, stdout.getvalue(), stderr.getvalue())
    assert {file.name for file in (folder / "verdicts").iterdir()} == {"parity.md", "parity.json"}
    return report_of(completed, folder / "verdicts")


def test_the_command_fails_and_names_them(bad: Report) -> None:
    assert bad.completed.returncode == 1
    assert bad.completed.stderr.splitlines()[-1] == (
        "error: perturbed.onnx, clamps.onnx, known.onnx, loud.onnx: "
        "outside the tolerance; see the tables above"
    )
    assert bad.failures("fp32.onnx") == []
    for verdict in bad.document:
        for failure in verdict["failures"]:
            assert f"\n- {failure}\n" in bad.completed.stdout


def test_a_perturbed_weight_is_found(bad: Report) -> None:
    failures = bad.failures("perturbed.onnx")
    for probe in ("report-text", "solid hole, 60%", "47x33", "one picture alone"):
        assert any(f.startswith(f"{probe}: error ") and f.endswith("exceeds 0.0001") for f in failures)
    assert not any(f.startswith("empty mask") for f in failures)


def test_nan_in_solid_holes_is_found(bad: Report) -> None:
    failures = bad.failures("clamps.onnx")
    assert "solid hole, 60%: error nan exceeds 0.0001" in failures
    assert "holes in the corners: error nan exceeds 0.0001" in failures
    (verdict,) = (v for v in bad.document if v["artifact"] == "clamps.onnx")
    errors = {c["probe"]: c["max_error"] for c in comparisons_of(verdict)}
    assert errors["solid hole, 60%"] is None  # JSON has no NaN
    assert errors["empty mask"] == 0


def test_changed_known_pixels_are_found_however_little_they_change(
    bad: Report, probes: dict[str, Probe]
) -> None:
    assert bad.failures("known.onnx") == [f"{probe}: known pixels were changed" for probe in probes]


def test_lost_quality_is_found(bad: Report) -> None:
    failures = bad.failures("loud.onnx")
    for probe in PRESETS:
        assert any(f.startswith(f"{probe}: loses ") and f.endswith(" dB, 0.1 allowed") for f in failures)


# --- what cannot be compared -----------------------------------------------------------------------------------


def test_an_artifact_of_another_checkpoint_is_refused(
    fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save_weights(other, random_network("correction", 4, seed=9), {})
    with pytest.raises(ArtifactError, match=r"fp32\.onnx was exported from another checkpoint"):
        check(other, [fp32], [probes["report-text"]], [CPU])


def test_an_artifact_that_does_not_say_what_it_is_is_refused(
    checkpoint: Path, fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    proto, metadata = load_artifact(fp32)
    silent = tmp_path / "silent.onnx"
    set_metadata(proto, {key: value for key, value in metadata.items() if key != "precision"})
    onnx.save(proto, silent)
    with pytest.raises(ArtifactError, match="has no precision in its metadata"):
        check(checkpoint, [silent], [probes["report-text"]], [CPU])


def test_an_artifact_for_one_size_is_refused(
    checkpoint: Path, fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    fixed = damage.fixed_size(fp32, tmp_path / "fixed.onnx")
    (verdict,) = check(checkpoint, [fixed], [probes["one picture alone"]], [CPU])
    assert verdict.passed
    with pytest.raises(
        ArtifactError, match=r"fixed\.onnx cannot be run on 47x33 by ONNX Runtime [\d.]+ \(CPU\): "
    ):
        check(checkpoint, [fixed], [probes["47x33"]], [CPU])


def test_an_answer_of_another_shape_is_refused(
    checkpoint: Path, fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    turned = damage.transposed(fp32, tmp_path / "turned.onnx")
    with pytest.raises(
        ArtifactError, match=r"returns shape \(5, 3, 47, 33\) on 47x33 by .+; expected \(5, 3, 33, 47\)"
    ):
        check(checkpoint, [turned], [probes["47x33"]], [CPU])


def test_a_pytorch_model_that_returns_nan_is_refused(
    model: InpaintingModel, fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    broken = random_network("correction", 4, seed=7)
    with torch.no_grad():
        assert broken.unet.out.bias is not None
        broken.unet.out.bias.fill_(torch.nan)
    weights, artifact = tmp_path / "nan.safetensors", tmp_path / "nan.onnx"
    save_weights(weights, broken, {})
    proto, metadata = load_artifact(fp32)
    set_metadata(proto, metadata | {"checkpoint_sha256": sha256(weights)})
    onnx.save(proto, artifact)
    with pytest.raises(ArtifactError, match="PyTorch model itself returns NaN or infinity on 47x33"):
        check(weights, [artifact], [probes["47x33"]], [CPU])


# --- runtimes --------------------------------------------------------------------------------------------------


def test_onnx_runtime_web_answers_one_request_after_another_and_says_why_it_cannot(
    int8: Path, fp32: Path, probes: dict[str, Probe], tmp_path: Path
) -> None:
    web = onnx_runtime_web()
    if isinstance(web, str):
        pytest.skip(web)
    with CPU.load(int8) as expected, web.load(int8) as run:
        for probe in (probes["47x33"], probes["32x32"], probes["one picture alone"]):
            answer = run(probe.image, probe.mask)
            assert answer.dtype == np.float32
            # Its 8-bit sums are rounded in other places.
            np.testing.assert_allclose(answer, expected(probe.image, probe.mask), atol=0.02)
    fixed = damage.fixed_size(fp32, tmp_path / "fixed.onnx")
    with web.load(fixed) as run, pytest.raises(RuntimeError, match="Got invalid dimensions for input"):
        run(probes["47x33"].image, probes["47x33"].mask)


def test_a_runtime_that_is_not_installed_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtimes, "WEB_PACKAGE", tmp_path / "onnxruntime-web")
    monkeypatch.setattr(runtimes, "GPU_PROVIDERS", {"Abacus": "AbacusExecutionProvider"})
    found, left_out = installed_runtimes()
    assert not any("Web" in runtime.name for runtime in found)
    assert "ONNX Runtime (Abacus): this build of ONNX Runtime has no AbacusExecutionProvider" in left_out
    assert any(reason.startswith("ONNX Runtime Web (WASM): ") for reason in left_out)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert onnx_runtime_web() == "ONNX Runtime Web (WASM): Node.js is not installed"


# --- probes and bounds -----------------------------------------------------------------------------------------


def test_the_probes_cover_what_has_broken_exports(probes: dict[str, Probe]) -> None:
    batches = {probe.image.shape[0] for probe in probes.values()}
    assert batches == {1, 5}
    sides = {probe.image.shape[2:] for probe in probes.values()}
    assert {(178, 178), (32, 32)} <= sides
    assert any(height % 2 and width % 2 for height, width in sides)
    assert any(height != width for height, width in sides)
    ratio = {name: float((probe.mask == 0).mean()) for name, probe in probes.items()}
    assert ratio["empty mask"] == 0
    for share in (0.1, 0.3, 0.6):
        assert ratio[f"solid hole, {share:.0%}"] == pytest.approx(share, abs=0.01)
    assert ratio["strokes, 60%"] == pytest.approx(0.6, abs=0.03)
    border, corners = probes["holes along the border"].mask, probes["holes in the corners"].mask
    assert not border[..., 0, :].any()
    assert not border[..., -1].any()
    assert not corners[..., [0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert corners.mean() > 0.5
    assert [name for name, probe in probes.items() if probe.judges_quality] == list(PRESETS)


def test_a_probe_holds_the_picture_where_it_is_known_and_noise_elsewhere(probes: dict[str, Probe]) -> None:
    for probe in probes.values():
        assert probe.image.dtype == probe.mask.dtype == np.float32
        assert set(np.unique(probe.mask)) <= {0.0, 1.0}
        picture = probe.truth.transpose(0, 3, 1, 2)
        known = np.broadcast_to(probe.mask > 0, picture.shape)
        assert np.array_equal(np.rint(probe.image * 255)[known], picture[known])
        if not known.all():
            assert (np.rint(probe.image * 255)[~known] != picture[~known]).mean() > 0.9


def test_the_probes_are_the_same_every_time(photos: Path, probes: dict[str, Probe]) -> None:
    for again in probes_of(find_pictures(photos).test[:5]):
        assert np.array_equal(again.image, probes[again.name].image)
        assert np.array_equal(again.mask, probes[again.name].mask)


def test_fewer_than_five_pictures_are_refused(photos: Path) -> None:
    with pytest.raises(DataError, match="needs at least 5 pictures, not 4"):
        probes_of(find_pictures(photos).test[:4])


FINE = Comparison("probe", True, 1e-4, 1e-5, 90.0, 0.001, 0.0, True)


def test_a_comparison_on_the_bounds_passes() -> None:
    assert judge(FINE, TOLERANCES["fp32"]) == []


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"max_error": 1.01e-4}, ["probe: error 0.0001 exceeds 0.0001"]),
        ({"max_error": math.nan}, ["probe: error nan exceeds 0.0001"]),
        ({"max_error": math.inf}, ["probe: error inf exceeds 0.0001"]),
        ({"psnr_cost": 0.0011}, ["probe: loses 0.001 dB, 0.001 allowed"]),
        ({"psnr_cost": math.nan}, ["probe: loses nan dB, 0.001 allowed"]),
        ({"psnr_cost": 3.0, "judges_quality": False}, []),
        ({"psnr_cost": -3.0}, []),
        ({"known_exact": False}, ["probe: known pixels were changed"]),
    ],
)
def test_a_comparison_beyond_a_bound_fails(change: dict[str, Any], reasons: list[str]) -> None:
    assert judge(replace(FINE, **change), TOLERANCES["fp32"]) == reasons


def test_only_float32_networks_that_sample_the_picture_may_differ_by_more() -> None:
    for precision, tolerance in TOLERANCES.items():
        assert tolerance_of(precision, face_aware=False) == tolerance
    assert tolerance_of("int8", face_aware=True) == TOLERANCES["int8"]
    sampling = tolerance_of("fp32", face_aware=True)
    assert sampling.max_error == pytest.approx(1 / 255, rel=0.03)  # a step of 8-bit pictures
    assert sampling.psnr_cost == TOLERANCES["fp32"].psnr_cost
