"""Draws are a pure function of the seed and their number, over epochs, processes and resumed runs."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import lightning as L  # noqa: N812
import numpy as np
import pytest
import torch
from torch import Tensor

from training import masks
from training.augment import AugmentConfig
from training.data import DrawSampler, FixedPairs, InpaintingData, TrainingDraws, to_model
from training.errors import DataError, SettingsError
from training.pictures import find_pictures, load_picture

AS_IT_IS = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0)
SHARES = {"report-text": 0.35, "report-code": 0.25, "free-form": 0.4}


@pytest.fixture(scope="module")
def grey_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Pictures of one grey each, 10 to 20, so that a draw shows which file it is of."""
    root = tmp_path_factory.mktemp("grey")
    files = tuple(root / f"{value}.png" for value in range(10, 21))
    for file in files:
        cv2.imwrite(str(file), np.full((178, 178, 3), int(file.stem), np.uint8))
    return files


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


class TestTurnOver:
    """The one place where hole = white becomes known = 1."""

    def test_pictures(self) -> None:
        images = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)
        turned, _ = to_model(images, torch.zeros(2, 5, 7, dtype=torch.uint8))
        assert turned.shape == (2, 3, 5, 7)
        assert turned.dtype == torch.float32
        assert torch.equal(turned[1, 2, 4, 6], images[1, 4, 6, 2] / 255)
        assert torch.equal((turned * 255).round().byte().permute(0, 2, 3, 1), images)

    def test_masks(self) -> None:
        values = torch.tensor([0, 1, 127, 128, 200, 255], dtype=torch.uint8).reshape(1, 2, 3)
        _, known = to_model(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), values)
        assert known.shape == (1, 1, 2, 3)
        assert known.dtype == torch.float32
        assert known.flatten().tolist() == [1, 1, 1, 0, 0, 0]


class TestTrainingDraws:
    def test_a_draw_is_a_function_of_seed_and_number(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        one, other = (TrainingDraws(files, SHARES, AugmentConfig(), seed=7) for _ in range(2))
        numbers = [3, 40, 0, 17, 3]
        forwards = [one[n] for n in numbers]
        backwards = [other[n] for n in reversed(numbers)][::-1]
        assert all(map(same, forwards, backwards))
        assert same(forwards[0], forwards[4])

    def test_another_seed_or_number_is_another_draw(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        draws = TrainingDraws(files, SHARES, AugmentConfig(), seed=7)
        reseeded = TrainingDraws(files, SHARES, AugmentConfig(), seed=8)
        assert not same(draws[3], reseeded[3])
        seen = {draws[n][0].numpy().tobytes() for n in range(2 * len(files))}
        assert len(seen) == 2 * len(files)

    def test_shapes_and_types(self, celeba: Path) -> None:
        image, mask = TrainingDraws(find_pictures(celeba).train, SHARES, AugmentConfig(), seed=0)[0]
        assert (image.shape, image.dtype) == ((178, 178, 3), torch.uint8)
        assert (mask.shape, mask.dtype) == ((178, 178), torch.uint8)
        assert set(mask.unique().tolist()) == {0, 255}

    def test_every_epoch_takes_every_picture_once_in_an_order_of_its_own(
        self, grey_files: tuple[Path, ...]
    ) -> None:
        draws = TrainingDraws(grey_files, {"report-text": 1.0}, AS_IT_IS, seed=0)
        count = len(grey_files)
        orders = [[int(draws[n][0][0, 0, 0]) for n in range(e * count, (e + 1) * count)] for e in range(3)]
        assert all(sorted(order) == list(range(10, 21)) for order in orders)
        assert orders[0] != orders[1] != orders[2] != orders[0]

    def test_presets_are_drawn_by_their_shares(
        self, grey_files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for value, name in enumerate(SHARES):  # each preset leaves its number in place of a mask
            monkeypatch.setitem(
                masks.PRESETS, name, lambda rng, h, w, value=value: np.full((h, w), value, np.uint8)
            )
        draws = TrainingDraws(grey_files, {**SHARES, "report-code": 0.0}, AS_IT_IS, seed=0)
        drawn = Counter(int(draws[n][1][0, 0]) for n in range(300))
        assert set(drawn) == {0, 2}
        assert drawn[2] / 300 == pytest.approx(0.4 / 0.75, abs=0.08)

    def test_loader_processes_that_are_spawned_can_have_it(self, celeba: Path) -> None:
        draws = TrainingDraws(find_pictures(celeba).train, SHARES, AugmentConfig(), seed=7)
        assert same(pickle.loads(pickle.dumps(draws))[20], draws[20])


class TestFixedPairs:
    def test_pictures_in_order_under_masks_of_their_own(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        pairs = FixedPairs(files, "report-text", seed=1)
        assert len(pairs) == len(files)
        masks_seen = set()
        for index, file in enumerate(files):
            image, mask = pairs[index]
            np.testing.assert_array_equal(image.numpy(), load_picture(file))
            masks_seen.add(mask.numpy().tobytes())
        assert len(masks_seen) == len(files)

    def test_they_depend_on_seed_and_position_alone(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        pairs, fewer = FixedPairs(files, "free-form", seed=1), FixedPairs(files[:5], "free-form", seed=1)
        assert same(pairs[4], fewer[4])
        assert not torch.equal(pairs[4][1], FixedPairs(files, "free-form", seed=2)[4][1])


def trainer_at(batches_done: int, rank: int = 0, processes: int = 1) -> Any:
    """What the sampler reads of a trainer."""
    progress = SimpleNamespace(total=SimpleNamespace(ready=batches_done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    return SimpleNamespace(fit_loop=loop, global_rank=rank, world_size=processes)


class TestDrawSampler:
    def test_a_fresh_run_of_lightnings_trainer_starts_with_draw_0(self) -> None:
        trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        sampler = DrawSampler(trainer, size=11, batch_size=3)
        assert len(sampler) == 9
        assert list(sampler) == list(range(9))

    def test_epochs_follow_one_another_without_a_gap(self) -> None:
        epochs = [list(DrawSampler(trainer_at(3 * epoch), size=11, batch_size=3)) for epoch in range(4)]
        assert [draw for epoch in epochs for draw in epoch] == list(range(36))

    @pytest.mark.parametrize("done", range(7))
    def test_a_resumed_run_takes_the_rest_of_its_epoch(self, done: int) -> None:
        end = 9 if done < 3 else 18 if done < 6 else 27
        assert list(DrawSampler(trainer_at(done), size=11, batch_size=3)) == list(range(3 * done, end))

    @pytest.mark.parametrize("done", [0, 1, 2, 3])
    def test_processes_share_the_draws_of_each_step(self, done: int) -> None:
        """Two processes with batches of 2 take, step by step, what one with batches of 4 would."""
        alone = list(DrawSampler(trainer_at(done), size=14, batch_size=4))
        shared = [list(DrawSampler(trainer_at(done, rank, 2), size=14, batch_size=2)) for rank in (0, 1)]
        steps = len(alone) // 4
        assert [len(part) for part in shared] == [2 * steps, 2 * steps]
        for step in range(steps):
            taken = [n for part in shared for n in part[2 * step : 2 * step + 2]]
            assert taken == alone[4 * step : 4 * step + 4]


class TestDataModule:
    def build(self, root: Path, **options: Any) -> InpaintingData:
        return InpaintingData(root, **{"batch_size": 4, "masks": SHARES, "workers": 0, **options})

    def test_training_batches(self, celeba: Path) -> None:
        data = self.build(celeba)
        data.trainer = trainer_at(0)
        data.setup("fit")
        batches = list(data.train_dataloader())
        assert [len(images) for images, _ in batches] == [4, 4, 4]
        draws = TrainingDraws(find_pictures(celeba).train, SHARES, AugmentConfig(), seed=0)
        assert same((batches[1][0][2], batches[1][1][2]), draws[6])

    def test_a_loader_process_draws_the_same(self, celeba: Path) -> None:
        loaders = []
        for workers in (0, 1):
            data = self.build(celeba, workers=workers)
            data.trainer = trainer_at(0)
            data.setup("fit")
            loaders.append(data.train_dataloader())
        assert all(map(same, *map(list, loaders)))

    def test_validation_pictures_are_the_first_of_their_split(self, celeba: Path) -> None:
        data = self.build(celeba, validation_pictures=2, validation_mask="free-form", seed=5)
        data.setup("fit")
        ((images, holes),) = data.val_dataloader()
        pairs = FixedPairs(find_pictures(celeba).val, "free-form", seed=5)
        assert len(images) == 2
        assert all(same((images[i], holes[i]), pairs[i]) for i in range(2))

    def test_a_batch_larger_than_the_split_is_refused(self, celeba: Path) -> None:
        data = self.build(celeba, batch_size=15)
        data.trainer = trainer_at(0)
        data.setup("fit")
        with pytest.raises(
            DataError, match=r"has 14 pictures, which do not fill one batch of 15; add pictures"
        ):
            data.train_dataloader()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"masks": {"lines": 1.0}}, "there is no mask preset lines; there are report-text, report-code"),
            ({"validation_mask": "dots"}, "there is no mask preset dots"),
            ({"masks": {}}, "shares of the mask presets must be 0 or more and not all 0"),
            ({"masks": {"report-text": 0.0}}, "not all 0"),
            ({"masks": {"report-text": 2.0, "free-form": -1.0}}, "must be 0 or more"),
            ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
            ({"validation_pictures": 0}, "validation_pictures must be at least 1"),
            ({"workers": -1}, "workers must be at least 0, not -1"),
            ({"seed": -1}, "seed must be at least 0"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(
        self, celeba: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SettingsError, match=message):
            self.build(celeba, **options)
