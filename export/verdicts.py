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
        psnr_cost: Maximum loss of mean PSNR against the truth on each mask preset, in dB.
    """

    max_error: float
    psnr_cost: float


TOLERANCES: Final = {
    # Only float32 rounding.
    "fp32": Tolerance(max_error=1e-4, psnr_cost=0.001),
    # Half precision has 11 bits: an error of 2^-11 in each of about 20 layers; more than 1/50 would be visible.
    "fp16": Tolerance(max_error=0.02, psnr_cost=0.01),
    # 8 bits: single pixels may change visibly inside a large hole, where many results are plausible; the quality
    # against the truth must stay the same.
    "int8": Tolerance(max_error=0.25, psnr_cost=0.1),
}
SAMPLING: Final = Tolerance(max_error=0.004, psnr_cost=0.001)
"""Of float32 face-aware networks: a step of 8-bit pictures. They sample the picture at computed positions, which
multiplies rounding errors by the picture's side and contrast: PyTorch's float32 itself differs from its float64 by 1e-4
on faces, and in single pixels by more where there is no face to find."""


def tolerance_of(precision: str, face_aware: bool) -> Tolerance:
    """Return the tolerance of an artifact by its precision and by whether its network is face-aware."""
    return SAMPLING if face_aware and precision == "fp32" else TOLERANCES[precision]


@dataclass(frozen=True)
class Comparison:
    """Result of one artifact on one runtime and probe.

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
class Results:
    """Results of one artifact on one runtime.

    Attributes:
        runtime: The runtime's name and version.
        pictures: Number of pictures that each probe was limited to; None if it was not.
        comparisons: One for each probe that was run.
    """

    runtime: str
    pictures: int | None
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Verdict:
    """Results of one artifact; `passed` if all are within the tolerance, on every runtime."""

    artifact: str
    sha256: str
    precision: str
    checkpoint_sha256: str
    tolerance: Tolerance
    results: tuple[Results, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the artifact fails: runtime, probe and reason of each; empty if it passes."""
        return tuple(
            f"{results.runtime}: {reason}"
            for results in self.results
            for comparison in results.comparisons
            for reason in judge(comparison, self.tolerance)
        )

    @property
    def passed(self) -> bool:
        """Whether the artifact is within its tolerance on every runtime and probe."""
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


def to_markdown(verdicts: Sequence[Verdict], left_out: Sequence[str] = ()) -> str:
    """Return the tables of every artifact, with the verdicts above them.

    Args:
        verdicts: Each with the results of at least one runtime. The first runtime's are listed in full, and the
            largest errors of all in a table.
        left_out: The runtimes that nothing was run on, and why.
    """
    lines = []
    for verdict in verdicts:
        word = "passes" if verdict.passed else "FAILS"
        lines += [
            f"**{verdict.artifact}** ({verdict.precision}) {word}: at most {verdict.tolerance.max_error:g} "
            f"from PyTorch, at most {verdict.tolerance.psnr_cost:g} dB lost on each mask preset.",
            f"sha256 `{verdict.sha256}`, from checkpoint `{verdict.checkpoint_sha256}`.",
            "",
            *_probes(verdict.results[0], verdict.tolerance),
            "",
            *_runtimes(verdict.results),
            "",
            *(f"- {failure}" for failure in verdict.failures),
            "",
        ]
    return "\n".join([*lines, *(f"- Left out: {reason}." for reason in left_out), ""])


def _probes(results: Results, tolerance: Tolerance) -> list[str]:
    """Return the table of one runtime's results."""
    header = [
        "max error",
        "mean error",
        "PSNR to PyTorch (dB)",
        "PSNR lost (dB)",
        "allowed (dB)",
        "SSIM lost",
    ]
    return [
        f"{results.runtime}:",
        "",
        f"| probe | {' | '.join(header)} | known exact |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {c.probe} | {c.max_error:.1e} | {c.mean_error:.1e} | {c.psnr_between:.1f} "
            f"| {c.psnr_cost:+.3f} | {f'{tolerance.psnr_cost:g}' if c.judges_quality else '-'} "
            f"| {c.ssim_cost:+.4f} | {'yes' if c.known_exact else 'NO'} |"
            for c in results.comparisons
        ),
    ]


def _runtimes(runtimes: Sequence[Results]) -> list[str]:
    """Return the table of the largest errors, with a column for each runtime."""
    names = [r.runtime if r.pictures is None else f"{r.runtime}, pictures: {r.pictures}" for r in runtimes]
    errors = [{c.probe: f"{c.max_error:.1e}" for c in results.comparisons} for results in runtimes]
    return [
        "Max error on each runtime, on all pictures of a probe unless their number is given; - where it was not run:",
        "",
        f"| probe | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {c.probe} | {' | '.join(column.get(c.probe, '-') for column in errors)} |"
            for c in runtimes[0].comparisons
        ),
    ]
