"""What an artifact may differ by, and whether it kept to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Tolerance:
    """What an artifact may differ by.

    Attributes:
        max_error: Greatest absolute difference of any pixel from PyTorch's, on the scale [0, 1].
        psnr_cost: Greatest loss of mean PSNR against the truth on the report's masks, in dB.
    """

    max_error: float
    psnr_cost: float


TOLERANCES: Final = {
    # Rounding of float32 alone.
    "fp32": Tolerance(max_error=1e-4, psnr_cost=0.001),
    # Half precision has 11 bits: 2^-11 for each of some 20 layers; more than 1/50 would be seen in a picture.
    "fp16": Tolerance(max_error=0.02, psnr_cost=0.01),
    # 8 bits: single pixels may move visibly in the midst of a large hole, where there is no one right answer;
    # what counts is that quality against the truth stays.
    "int8": Tolerance(max_error=0.25, psnr_cost=0.15),
}


@dataclass(frozen=True)
class Comparison:
    """One artifact on one probe.

    Attributes:
        probe: The probe's name.
        judges_quality: Whether the loss of PSNR is held against the artifact.
        max_error: Greatest absolute difference from PyTorch, scale [0, 1].
        mean_error: Mean absolute difference from PyTorch inside the holes, scale [0, 1].
        psnr_between: PSNR of the artifact's answer against PyTorch's in dB, uint8; infinite when equal.
        psnr_cost: Mean PSNR against the truth that the artifact loses, in dB.
        ssim_cost: Mean SSIM against the truth that the artifact loses.
        known_exact: Whether every known pixel came back bit for bit.
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
    """One artifact on all probes; `passed` says whether each kept to the tolerance."""

    artifact: str
    sha256: str
    precision: str
    checkpoint_sha256: str
    tolerance: Tolerance
    comparisons: tuple[Comparison, ...]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the artifact may be served."""
        return not self.failures


def judge(comparison: Comparison, tolerance: Tolerance) -> list[str]:
    """Return why a comparison fails, nothing if it passes. NaN fails every bound."""
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
