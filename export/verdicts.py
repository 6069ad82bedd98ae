"""Tolerances of the parity check, and its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Tolerance:
    """Maximum deviation of an artifact from the PyTorch model.

    Attributes:
        max_error: Maximum absolute difference of any pixel, on the scale [0, 1].
        psnr_cost: Maximum loss of mean PSNR against the truth on the presets of straight lines, in dB.
    """

    max_error: float
    psnr_cost: float


TOLERANCES: Final = {
    # Only float32 rounding.
    "fp32": Tolerance(max_error=1e-4, psnr_cost=0.001),
    # Half precision has 11 bits: 2^-11 for each of about 20 layers; more than 1/50 would be visible.
    "fp16": Tolerance(max_error=0.02, psnr_cost=0.01),
    # 8 bits: single pixels may change visibly inside a large hole, where many results are plausible; the quality
    # against the truth must stay the same.
    "int8": Tolerance(max_error=0.25, psnr_cost=0.15),
}


@dataclass(frozen=True)
class Comparison:
    """Result of one artifact on one probe.

    Attributes:
        probe: The probe's name.
        judges_quality: Whether the loss of PSNR counts for the verdict.
        max_error: Maximum absolute difference from PyTorch, on the scale [0, 1].
        mean_error: Mean absolute difference from PyTorch inside the holes, on the scale [0, 1].
        psnr_between: PSNR of the artifact's result against PyTorch's in dB, uint8; infinite if equal.
        psnr_cost: Loss of mean PSNR against the truth, in dB.
        ssim_cost: Loss of mean SSIM against the truth.
        known_exact: Whether every known pixel is bit-exact.
    """

    probe: str
    judges_quality: bool
    max_error: float
    mean_error: float
    psnr_between: float
    psnr_cost: float
    ssim_cost: float
    known_exact: bool


@dataclass(frozen=True)
class Verdict:
    """Results of one artifact on all probes; `passed` if all are within the tolerance."""

    artifact: str
    sha256: str
    precision: str
    checkpoint_sha256: str
    tolerance: Tolerance
    comparisons: tuple[Comparison, ...]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the artifact is within its tolerance on every probe."""
        return not self.failures


def judge(comparison: Comparison, tolerance: Tolerance) -> list[str]:
    """Return the reasons why a comparison fails; empty if it passes. NaN exceeds every bound."""
    reasons = []
    if not comparison.max_error <= tolerance.max_error:
        reasons.append(
            f"{comparison.probe}: error {comparison.max_error:.2g} exceeds {tolerance.max_error:g}"
        )
    if comparison.judges_quality and not comparison.psnr_cost <= tolerance.psnr_cost:
        reasons.append(
            f"{comparison.probe}: loses {comparison.psnr_cost:.3f} dB, {tolerance.psnr_cost:g} allowed"
        )
    if not comparison.known_exact:
        reasons.append(f"{comparison.probe}: known pixels were changed")
    return reasons


def to_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return a Markdown table of every artifact and probe, with the verdicts above it."""
    lines = []
    for verdict in verdicts:
        word = "passes" if verdict.passed else "FAILS"
        lines += [
            f"**{verdict.artifact}** ({verdict.precision}) {word}: at most {verdict.tolerance.max_error:g} "
            f"from PyTorch, at most {verdict.tolerance.psnr_cost:g} dB lost on the report's masks.",
            f"sha256 `{verdict.sha256}`, from checkpoint `{verdict.checkpoint_sha256}`.",
            "",
            "| probe | max error | mean error | PSNR to PyTorch (dB) | PSNR lost (dB) | SSIM lost | known exact |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {c.probe} | {c.max_error:.1e} | {c.mean_error:.1e} | {c.psnr_between:.1f} "
            f"| {c.psnr_cost:+.3f} | {c.ssim_cost:+.4f} | {'yes' if c.known_exact else 'NO'} |"
            for c in verdict.comparisons
        ]
        lines += ["", *(f"- {failure}" for failure in verdict.failures), ""]
    return "\n".join(lines)
