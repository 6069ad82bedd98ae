"""A draw is a pure function of the seed and its number, across epochs, processes and resumed runs."""

from __future__ import annotations

import pickle
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L  # noqa: N812
import numpy as np
import psutil
import pytest
import torch
import training_runs as runs

from training import masks
from training import memory as module
from training.cases import cases_of
from training.data import DrawSampler, InpaintingData
from training.draws import Draw, Mixture, TrainingDraws
from training.errors import DataError, SettingsError
from training.memory import available_memory, budget, load_pictures
from training.pictures import PictureFile, all_pictures, find_pictures, load_mask, load_picture
from training.transforms import AugmentConfig, to_pictures

SIZE = 178
SHARES = {"report-text": 0.35, "report-code": 0.25, "free-form": 0.4}


def same(one: Draw, other: Draw) -> bool:
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True))


def filled_with(value: int) -> Callable[[np.random.Generator, int, int], masks.Mask]:
    """A preset whose masks are this value everywhere."""
    return lambda rng, height, width: np.full((height, width), value, np.uint8)


def draws_of(
    count: int, shares: dict[str, float], seed: int, files: Sequence[Path] | None = None
) -> TrainingDraws:
    """The draws from one folder of pictures."""
    mixture = Mixture((count,), (count,))
    return TrainingDraws(mixture, SIZE, shares, masks.PRESETS, AugmentConfig(), seed, files)


class TestTrainingDraws:
    def test_a_draw_is_a_function_of_seed_and_number(self) -> None:
        one, other = (draws_of(14, SHARES, seed=7) for _ in range(2))
        numbers = [3, 40, 0, 17, 3]
        forwards = [one[n] for n in numbers]
        backwards = [other[n] for n in reversed(numbers)][::-1]
        assert all(map(same, forwards, backwards))
        assert same(forwards[0], forwards[4])

    def test_another_seed_or_number_is_another_draw(self) -> None:
        draws = draws_of(14, SHARES, seed=7)
        assert not same(draws[3], draws_of(14, SHARES, seed=8)[3])
        assert len({(draws[n].warp.tobytes(), draws[n].mask.tobytes()) for n in range(28)}) == 28

    def test_shapes_and_types(self) -> None:
        draw = draws_of(14, SHARES, seed=0)[0]
        assert 0 <= draw.picture < 14
        assert (draw.warp.shape, draw.warp.dtype) == ((2, 3), np.dtype(np.float32))
        assert (draw.colours.shape, draw.colours.dtype) == ((3, 3), np.dtype(np.float32))
        assert (draw.mask.shape, draw.mask.dtype) == ((178, 178), np.dtype(np.uint8))
        assert set(np.unique(draw.mask)) == {0, 255}

    def test_every_epoch_takes_every_picture_once_in_its_own_order(self) -> None:
        draws = draws_of(11, {"report-text": 1.0}, seed=0)
        orders = [[draws[n].picture for n in range(e * 11, (e + 1) * 11)] for e in range(3)]
        assert all(sorted(order) == list(range(11)) for order in orders)
        assert orders[0] != orders[1] != orders[2] != orders[0]

    def test_presets_are_drawn_by_their_shares(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for value, name in enumerate(SHARES):  # each preset's mask holds the preset's number
            monkeypatch.setitem(masks.PRESETS, name, filled_with(value))
        draws = draws_of(11, {**SHARES, "report-code": 0.0}, seed=0)
        drawn = Counter(int(draws[n].mask[0, 0]) for n in range(300))
        assert set(drawn) == {0, 2}
        assert drawn[2] / 300 == pytest.approx(0.4 / 0.75, abs=0.08)

    def test_files_are_decoded_in_the_draw(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        held, decoded = draws_of(14, SHARES, seed=7), draws_of(14, SHARES, seed=7, files=files)
        for number in (0, 20):
            draw = decoded[number]
            np.testing.assert_array_equal(draw.picture, load_picture(files[int(held[number].picture)]))
            assert same(draw._replace(picture=0), held[number]._replace(picture=0))

    def test_draws_can_be_sent_to_spawned_loader_processes(self) -> None:
        draws = draws_of(14, SHARES, seed=7)
        assert same(pickle.loads(pickle.dumps(draws))[20], draws[20])


class TestMixture:
    def test_draws_are_in_proportion_to_the_weights(self) -> None:
        mixture = Mixture.weighted([20, 10, 30], [1, 1, 0.5])
        assert mixture.draws == (24, 24, 12)
        assert len(mixture) == 60
        assert Mixture.weighted([7], [0.3]).draws == (7,)

    def test_a_folder_takes_its_pictures_in_turn_over_all_epochs(self) -> None:
        mixture = Mixture.weighted([2, 6], [3, 1])
        taken = [mixture.picture(epoch, slot) for epoch in range(3) for slot in range(8)]
        assert Counter(taken) == {0: 9, 1: 9, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}


class TestMemory:
    def test_a_budget_is_a_share_of_available_memory_or_a_number_of_bytes(self) -> None:
        assert budget(2e9) == 2_000_000_000
        assert budget(0) == 0
        assert 0 < budget(0.001) < budget(1) <= psutil.virtual_memory().total

    def test_a_containers_limit_counts(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(module, "CGROUP", tmp_path)
        unlimited = available_memory()
        (tmp_path / "memory.current").write_text("5000000\n")
        (tmp_path / "memory.stat").write_text("anon 1000000\ninactive_file 3000000\n")
        (tmp_path / "memory.max").write_text("max\n")
        assert available_memory() == pytest.approx(unlimited, rel=0.5)
        (tmp_path / "memory.max").write_text("8000000\n")
        assert available_memory() == 6_000_000

    def test_pictures_are_held_as_they_are_read(self, celeba: Path) -> None:
        files = find_pictures(celeba).train
        pictures = load_pictures(files)
        assert (pictures.shape, pictures.dtype) == ((len(files), 178, 178, 3), torch.uint8)
        for picture, file in zip(pictures.numpy(), files, strict=True):
            np.testing.assert_array_equal(picture, load_picture(file))

    def test_a_damaged_file_is_named(self, celeba: Path, tmp_path: Path) -> None:
        damaged = tmp_path / "half.jpg"
        damaged.write_bytes(find_pictures(celeba).train[0].read_bytes()[:300])
        with pytest.raises(DataError, match=r"half\.jpg cannot be decoded as a picture"):
            load_pictures([*find_pictures(celeba).train, damaged])

    def test_no_picture_is_kept_beside_the_result(
        self, monkeypatch: pytest.MonkeyPatch, celeba: Path
    ) -> None:
        """However slowly the progress bar advances, each thread holds at most the picture that it is decoding."""
        alive, most, lock, threads = 0, 0, threading.Lock(), set()

        def count(change: int) -> None:
            nonlocal alive, most
            with lock:
                alive += change
                most = max(most, alive)

        def decode(file: Path, size: int) -> np.ndarray:
            picture = load_picture(file, size)
            threads.add(threading.get_ident())
            count(1)
            weakref.finalize(picture, count, -1)
            return picture

        def slowly(items: Any, *_: object, **__: object) -> Any:
            for item in items:
                time.sleep(0.002)
                yield item

        monkeypatch.setattr(module, "load_picture", decode)
        monkeypatch.setattr(module, "tqdm", slowly)
        pictures = load_pictures(find_pictures(celeba).train * 20, 64)
        assert pictures.shape == (280, 64, 64, 3)
        assert most <= 2 * len(threads)
        assert most < 50

    def test_pictures_that_do_not_fit_into_memory_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"more memory than is available; lower --data\.memory"):
            load_pictures(range(2**32))  # type: ignore[arg-type]


def trainer_at(batches_done: int, rank: int = 0, processes: int = 1) -> Any:
    """A stand-in for a trainer, with what the sampler and the data module read."""
    progress = SimpleNamespace(total=SimpleNamespace(ready=batches_done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    strategy = SimpleNamespace(root_device=torch.device("cpu"), reduce_boolean_decision=bool)
    shared = {"world_size": processes, "num_devices": 1, "is_global_zero": rank == 0}
    return SimpleNamespace(fit_loop=loop, global_rank=rank, strategy=strategy, **shared)


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
    def build(self, root: Path | dict[str, float], **options: Any) -> InpaintingData:
        return InpaintingData(**{"root": root, "batch_size": 4, "masks": SHARES, "workers": 0, **options})

    def ready(self, root: Path | dict[str, float], **options: Any) -> InpaintingData:
        data = self.build(root, **options)
        data.trainer = trainer_at(0)
        data.setup("fit")
        return data

    def test_training_batches(self, celeba: Path) -> None:
        batches = list(self.ready(celeba).train_dataloader())
        assert [len(batch.mask) for batch in batches] == [4, 4, 4]
        draws = draws_of(14, SHARES, seed=0)
        assert same(Draw(*(field[2].numpy() for field in batches[1])), draws[6])

    @pytest.mark.slow
    def test_a_loader_process_draws_the_same(self, celeba: Path) -> None:
        loaders = [self.ready(celeba, workers=workers).train_dataloader() for workers in (0, 1)]
        for one, other in zip(*loaders, strict=True):
            assert all(map(torch.equal, one, other))

    def test_batches_come_in_the_models_convention(self, celeba: Path) -> None:
        """Without augmentation, batches hold the pictures themselves, each with the mask drawn for it."""
        still = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0)
        data = self.ready(celeba, augmentation=still)
        drawn = next(iter(data.train_dataloader()))
        images, known = data.transfer_batch_to_device(drawn, torch.device("cpu"), 0)
        assert images.dtype == known.dtype == torch.float32
        files = find_pictures(celeba).train
        for position, picture in zip(drawn.picture, to_pictures(images), strict=True):
            np.testing.assert_array_equal(picture, load_picture(files[position]))
        assert torch.equal(known[:, 0] == 0, drawn.mask == 255)

    @pytest.mark.slow
    def test_a_folder_beyond_the_budget_gives_the_same_batches(
        self, celeba: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its pictures are decoded by a loader process instead of being held in memory."""
        held, beyond = self.ready(celeba), self.ready(celeba, memory=1e6, workers=1)
        assert held.pictures is not None
        assert beyond.pictures is None
        assert "14 pictures need 0.00 GB decoded; --data.memory allows 0.00 GB" in capsys.readouterr().err
        pairs = zip(held.train_dataloader(), beyond.train_dataloader(), strict=True)
        for batches in pairs:
            one, other = (
                data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
                for data, batch in zip((held, beyond), batches, strict=True)
            )
            assert all(map(torch.equal, one, other))

    def test_several_folders_are_mixed_by_weight(self, celeba: Path, mask_folder: Path) -> None:
        data = self.ready({str(celeba): 3.0, str(mask_folder): 1.0}, validation_pictures=4)
        folders = Counter(
            mask_folder if str(data.files[int(number)]).startswith(str(mask_folder)) else celeba
            for batch in data.train_dataloader()
            for number in batch.picture
        )
        train = len(find_pictures(mask_folder).train)
        total = 14 + train
        assert folders.total() == total - total % 4
        assert folders[mask_folder] == pytest.approx(total / 4, abs=2)
        (validation,) = data.val_dataloader()
        assert len(validation[0]) == 4

    def test_masks_of_a_folder(self, celeba: Path, mask_folder: Path) -> None:
        """They replace the presets, in training and in validation, or are mixed with them."""
        own = [load_mask(path) for path in all_pictures(mask_folder)]
        data = self.ready(celeba, mask_folder=mask_folder)
        (validation,) = data.val_dataloader()
        for mask in (*next(iter(data.train_dataloader())).mask, *validation[1]):
            assert any(np.array_equal(mask, expected) for expected in own)
        mixed = self.ready(celeba, mask_folder=mask_folder, masks={"folder": 1.0, "fine": 1.0})
        drawn = [mask for batch in mixed.train_dataloader() for mask in batch.mask]
        among = [any(np.array_equal(mask, expected) for expected in own) for mask in drawn]
        assert set(among) == {True, False}

    def test_masks_with_the_names_of_their_pictures(self, celeba: Path, tmp_path: Path) -> None:
        """Such masks, as `training mask` saves them, are warped with their pictures."""
        for seed in range(2):
            arguments = ("mask", str(celeba), "-o", str(tmp_path / str(seed)), "--seed", str(seed))
            assert runs.run_here(list(arguments)) == 0
        still = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0)
        own = {"mask_folder": tmp_path / "1" / "masks", "masks": {"paired": 1.0}}
        data = self.ready(celeba, augmentation=still, **own)
        (validation,) = data.val_dataloader()
        files, split = data.files, find_pictures(celeba)
        for batch in data.train_dataloader():
            for number, mask in zip(batch.picture, batch.mask, strict=True):
                np.testing.assert_array_equal(mask, load_mask(self.saved(tmp_path, files[int(number)])))
        for file, mask in zip(split.val, validation[1], strict=True):
            np.testing.assert_array_equal(mask, load_mask(self.saved(tmp_path, file)))
        turned = self.ready(celeba, augmentation=AugmentConfig(rotation=0.0, flip=1.0, brightness=0.0), **own)
        batch = next(iter(turned.train_dataloader()))
        mask = load_mask(self.saved(tmp_path, files[int(batch.picture[0])]))
        np.testing.assert_array_equal(batch.mask[0], mask[:, ::-1])

    @staticmethod
    def saved(folder: Path, picture: PictureFile) -> Path:
        return (folder / "1" / "masks" / "img_align_celeba" / picture.name).with_suffix(".png")

    def test_pictures_without_a_mask_of_their_name_are_reported(
        self, celeba: Path, mask_folder: Path
    ) -> None:
        with pytest.raises(
            DataError, match=r"14 of 14 pictures have no mask with their name in .*, such as img"
        ):
            self.ready(celeba, mask_folder=mask_folder, masks={"paired": 1.0})

    def test_validation_pictures_are_the_first_of_their_split(self, celeba: Path) -> None:
        data = self.ready(celeba, validation_pictures=2, validation_mask="free-form", seed=5)
        (batch,) = data.val_dataloader()
        images, known = data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
        cases = cases_of(celeba, "val", ["free-form"], 2, seed=5)
        for case, picture, mask in zip(cases, to_pictures(images), known, strict=True):
            expected, hole = case.load()
            np.testing.assert_array_equal(picture, expected)
            np.testing.assert_array_equal(mask[0].numpy(), hole == 0)

    def test_fewer_pictures_are_the_first_of_their_split(self, celeba: Path) -> None:
        pictures = self.ready(celeba, training_pictures=5).pictures
        assert pictures is not None
        assert torch.equal(pictures, load_pictures(find_pictures(celeba).train[:5]))

    @pytest.mark.parametrize("size", [32, 97, 256])
    def test_pictures_and_masks_have_the_size_in_the_settings(self, celeba: Path, size: int) -> None:
        """In training and in validation; smaller and larger than the pictures."""
        data = self.ready(celeba, size=size, validation_mask="features")
        assert data.pictures is not None
        assert data.pictures.shape == (14, size, size, 3)
        for loader in (data.train_dataloader(), data.val_dataloader()):
            images, known = data.transfer_batch_to_device(next(iter(loader)), torch.device("cpu"), 0)
            assert images.shape[1:] == (3, size, size)
            assert known.shape == (len(images), 1, size, size)
            assert set(known.unique().tolist()) == {0, 1}  # type: ignore[no-untyped-call]
        case = cases_of(celeba, "val", ["features"], 1, size=size)[0]
        np.testing.assert_array_equal(known[0, 0].numpy(), case.load()[1] == 0)

    def test_a_batch_larger_than_the_split_is_refused(self, celeba: Path) -> None:
        with pytest.raises(
            DataError, match=r"has 14 training pictures, fewer than one batch of 15; add pictures"
        ):
            self.ready(celeba, batch_size=15)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"masks": {"lines": 1.0}}, "unknown mask preset lines; choose from report-text, report-code"),
            ({"validation_mask": "dots"}, "unknown mask preset dots"),
            ({"masks": {"folder": 1.0}}, "unknown mask preset folder"),
            ({"root": {}}, "root needs at least one folder"),
            ({"root": {"a": 1.0, "b": 0.0}}, "weights above 0"),
            ({"memory": -1.0}, "memory must be at least 0"),
            ({"masks": {}}, "frequencies of mask presets must be at least 0 and not all 0"),
            ({"masks": {"report-text": 0.0}}, "not all 0"),
            ({"masks": {"report-text": 2.0, "free-form": -1.0}}, "must be at least 0"),
            ({"size": 31}, "size must be at least 32, not 31"),
            ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
            ({"validation_pictures": 0}, "validation_pictures must be at least 1"),
            ({"training_pictures": 0}, "training_pictures must be at least 1"),
            ({"workers": -1}, "workers must be at least 0, not -1"),
            ({"seed": -1}, "seed must be at least 0"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(
        self, celeba: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SettingsError, match=message):
            self.build(**{"root": celeba, **options})
