"""A network's answer for the aligned picture, put back in its place."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from known_face import KnownFace
from torch import Tensor, nn

from training.network.aligned_answer import ALIGNED_SIZE, aligned_answer
from training.network.alignment import inverse, positions, transform
from training.network.correction_unet import CorrectionUNet
from training.network.face_locator import find_face

ALIGNED = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
TURNED = torch.tensor([[0.7, 0.2, 0.1, -0.15]])
LARGE = torch.tensor([[1.6, -0.1, 0.05, 0.1]])
HALF = ALIGNED_SIZE // 2


def pattern(places: Tensor) -> Tensor:
    """A smooth picture, as a function of positions in the aligned picture, N×h×w×2. Return N3hw."""
    across, down = places.unbind(3)
    return (
        torch.stack([torch.sin(3 * across), torch.cos(4 * down), torch.sin(5 * (across + down))], 1) / 4 + 0.5
    )


class Records(nn.Module):
    """A stand-in for a network that knows the aligned picture; it records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, masked: Tensor, known: Tensor) -> Tensor:
        self.asked.append((masked, known))
        return pattern(positions(HALF, HALF, masked)[None]).expand_as(masked) + self.shift


def picture_of(alignment: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a picture with a wide hole, its mask, and where the aligned picture's inside is, HW."""
    places = transform(inverse(alignment), positions(height, width, alignment))
    known = torch.ones(1, 1, height, width)
    known[..., height // 3 : height // 2, width // 3 : width // 2] = 0
    return pattern(places), known, (places[0].abs() < 0.9).all(2)


@pytest.mark.parametrize(
    ("alignment", "height", "width"),
    [(ALIGNED, 178, 178), (TURNED, 178, 178), (TURNED, 200, 263), (LARGE, 121, 90)],
)
def test_the_network_sees_the_aligned_picture_and_its_answer_is_put_back(
    alignment: Tensor, height: int, width: int
) -> None:
    picture, known, inside = picture_of(alignment, height, width)
    network = Records()
    masked = picture * known
    face = find_face(masked, known, KnownFace(alignment))
    answer, weight = aligned_answer(masked, known, face, network)
    ((seen, seen_known),) = network.asked
    surely = (F.avg_pool2d(seen_known, 3, 1, 1) == 1).expand_as(
        seen
    )  # away from the hole and from the border
    assert surely.float().mean() > 0.2
    torch.testing.assert_close(
        seen[surely], pattern(positions(HALF, HALF, seen)[None])[surely], atol=0.02, rtol=0
    )
    assert answer.shape == picture.shape
    where = inside.expand_as(picture)
    torch.testing.assert_close(answer[where], picture[where], atol=0.01, rtol=0)
    assert weight.shape == known.shape
    torch.testing.assert_close(weight[0, 0][inside], face.weight[0, 0][inside])


def test_a_hole_stays_a_hole_in_the_aligned_picture() -> None:
    picture, known, _ = picture_of(TURNED, 178, 178)
    network = Records()
    for value in (0.0, 1.0):
        changed = torch.where(known > 0, picture, torch.full_like(picture, value)) * known
        aligned_answer(changed, known, find_face(changed, known, KnownFace(TURNED)), network)
    (first, known_first), (second, known_second) = network.asked
    assert torch.equal(first, second)
    assert torch.equal(known_first, known_second)
    assert (known_first == 0).any()


def test_beyond_the_aligned_picture_the_answer_has_no_weight() -> None:
    small = torch.tensor([[0.5, 0.0, -0.3, -0.3]])
    masked, known = torch.zeros(1, 3, 178, 178), torch.zeros(1, 1, 178, 178)  # all of it is a wide hole
    _, weight = aligned_answer(masked, known, find_face(masked, known, KnownFace(small)), Records())
    places = transform(inverse(small), positions(178, 178, small))[0]
    assert not weight[0, 0][(places.abs() > 1).any(2)].any()
    torch.testing.assert_close(weight[0, 0][(places.abs() < 0.9).all(2)].min(), torch.tensor(1.0))


def test_without_a_face_the_answer_has_no_weight() -> None:
    picture, known, _ = picture_of(ALIGNED, 178, 178)
    face = find_face(picture * known, known, KnownFace(ALIGNED, -30.0))
    assert aligned_answer(picture * known, known, face, Records())[1].max() < 1e-6


def test_each_picture_of_a_batch_has_its_own_face() -> None:
    alignments = torch.cat([ALIGNED, TURNED])
    pictures = [picture_of(alignment[None], 120, 120)[0] for alignment in alignments]
    known = torch.ones(2, 1, 120, 120)
    known[..., 50:80, 50:80] = 0
    masked = torch.cat(pictures) * known
    both, _ = aligned_answer(masked, known, find_face(masked, known, KnownFace(alignments)), Records())
    for i, alignment in enumerate(alignments):
        face = find_face(masked[i : i + 1], known[:1], KnownFace(alignment[None]))
        one, _ = aligned_answer(masked[i : i + 1], known[:1], face, Records())
        torch.testing.assert_close(both[i : i + 1], one)


def test_the_network_learns_through_it() -> None:
    picture, known, _ = picture_of(TURNED, 96, 96)
    network = Records()
    face = find_face(picture * known, known, KnownFace(TURNED))
    answer, weight = aligned_answer(picture * known, known, face, network)
    (answer * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert network.shift.grad is not None
    torch.testing.assert_close(network.shift.grad, 3 * weight.sum())


def test_the_answer_is_continuous_in_the_alignment() -> None:
    """Runtimes differ by 1e-5 in where the face is; their answers must not differ by much more."""
    torch.manual_seed(0)
    picture, known, _ = picture_of(TURNED, 178, 178)
    fine = picture + 0.1 * torch.rand_like(picture)
    network = CorrectionUNet(2).eval()
    with torch.no_grad():
        answers = [
            aligned_answer(fine * known, known, find_face(fine * known, known, KnownFace(found)), network)[0]
            for found in (TURNED, TURNED + 1e-5)
        ]
    assert (answers[0] - answers[1]).abs().max() < 2e-3


@pytest.mark.parametrize(("zoom", "least", "most"), [(0.8, 0.7, 1.0), (1.5, 0.0, 0.05)])
def test_a_grid_of_two_pixels_fades_in_a_large_face(zoom: float, least: float, most: float) -> None:
    class Grid(nn.Module):
        def forward(self, masked: Tensor, known: Tensor) -> Tensor:
            return ((torch.arange(HALF) + torch.arange(HALF)[:, None]) % 2).float().expand_as(masked)

    alignment = torch.tensor([[zoom, 0.0, 0.0, 0.0]])
    picture, known, inside = picture_of(alignment, 178, 178)
    face = find_face(picture * known, known, KnownFace(alignment))
    answer, _ = aligned_answer(picture * known, known, face, Grid())
    seen = answer[0, 0][inside]
    assert least <= seen.max() - seen.min() <= most
