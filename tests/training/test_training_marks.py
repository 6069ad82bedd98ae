"""The network that finds marks: its drawn examples, its training, its weights and its evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sample_pictures import face

from training.draw_marks import MARK_KINDS, MarkedPicture, MarkKind
from training.errors import CheckpointError
from training.marks import MarksConfig, evaluate, fit, load_marks_network, marks_loss, to_tensor
from training.metrics import precision_and_recall
from training.network.marks_unet import MarksUNet


@pytest.mark.parametrize("kind", MARK_KINDS)
def test_only_marked_pixels_change_visibly(kind: MarkKind) -> None:
    image = face(178, 178)
    marked = MarkedPicture(image)
    marked.draw(kind, np.random.default_rng(3))
    changed = np.abs(marked.image.astype(int) - image).max(axis=2)
    assert 0.001 < marked.marks.mean() < 0.5
    assert (
        changed[~marked.marks].max() <= 80
    )  # at soft edges, which cover less than a quarter of a pixel each
    assert (changed[marked.marks] > 8).mean() > 0.8


def test_the_same_seed_draws_the_same_marks() -> None:
    pictures = [MarkedPicture(face(90, 120)) for _ in range(2)]
    for picture in pictures:
        for kind in MARK_KINDS:
            picture.draw(kind, np.random.default_rng(5))
    assert (pictures[0].image == pictures[1].image).all()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 40), (178, 90)])
def test_the_network_takes_any_size(size: tuple[int, int]) -> None:
    assert MarksUNet()(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_the_network_has_the_stated_size() -> None:
    assert round(sum(p.numel() for p in MarksUNet().parameters()), -4) == 250_000


def test_the_loss_is_least_where_the_marks_are_right() -> None:
    marks = torch.zeros(1, 1, 8, 8)
    marks[..., 3] = 1
    right, none, everything = (marks * 2 - 1) * 9, torch.full_like(marks, -9), torch.full_like(marks, 9)
    assert marks_loss(right, marks) < 0.01
    assert marks_loss(right, marks) < marks_loss(none, marks) < marks_loss(everything, marks)


def test_precision_and_recall_forgive_soft_edges_only() -> None:
    marks = np.zeros((1, 20, 20), bool)
    marks[:, 10] = True
    assert precision_and_recall(marks, marks) == (1, 1)
    assert precision_and_recall(np.roll(marks, 1, axis=1), marks) == (1, 1)
    assert precision_and_recall(np.roll(marks, 2, axis=1), marks) == (1, 0)
    assert precision_and_recall(np.roll(marks, 3, axis=1), marks) == (0, 0)
    half = marks.copy()
    half[:, :, 10:] = False
    precision, recall = precision_and_recall(half, marks)
    assert precision == 1
    assert recall == pytest.approx(0.55)


def test_training_lowers_the_loss_and_writes_weights(celeba: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    fit(celeba, tmp_path / "marks.safetensors", MarksConfig(pictures=8, steps=20, batch_size=4))
    network, provenance = load_marks_network(tmp_path / "marks.safetensors")
    assert provenance["steps"] == 20
    marked = MarkedPicture(face(96, 96))
    marked.draw("lines", np.random.default_rng(0))
    image, truth = to_tensor(marked.image[np.newaxis]), torch.from_numpy(marked.marks[None, None]).float()
    torch.manual_seed(0)
    with torch.inference_mode():
        assert marks_loss(network(image), truth) < marks_loss(MarksUNet()(image), truth)
    results = evaluate(tmp_path / "marks.safetensors", celeba, 2)
    assert {kind for kind, _ in results} == set(MARK_KINDS)
    for kind in MARK_KINDS:
        recalls = [results[kind, sensitivity][1] for sensitivity in (0.25, 0.5, 0.75)]
        assert recalls == sorted(recalls)


def test_the_same_seed_trains_the_same_network(celeba: Path, tmp_path: Path) -> None:
    for name in "ab":
        fit(celeba, tmp_path / name, MarksConfig(pictures=4, steps=2, batch_size=2))
    one, other = (load_marks_network(tmp_path / name)[0].state_dict() for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a weights file of `python -m training marks`"):
        load_marks_network(Path("models/inpaint.safetensors").resolve())
    with pytest.raises(CheckpointError, match="train one with `python -m training marks`"):
        load_marks_network(tmp_path / "none")
