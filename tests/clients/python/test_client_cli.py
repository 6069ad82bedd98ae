import io
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import inpaint_client
import numpy as np
import pytest
from inpaint_client.cli import main
from inpaint_loopback import LoopbackServer, drop, encode, reply, stall
from PIL import Image

COMMAND = [str(Path(sys.executable).with_name("inpaint"))]

Said = tuple[int, str, str]


@pytest.fixture
def inpaint(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run the command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("INPAINT_URL", server.url)

    def run(*arguments: object) -> Said:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ending:
            code = ending.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


@pytest.fixture
def photo_path(tmp_path: Path, photo_png: bytes) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(photo_png)
    return path


@pytest.fixture
def mask_path(tmp_path: Path, mask_png: bytes) -> Path:
    path = tmp_path / "mask.png"
    path.write_bytes(mask_png)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_a_photo_is_filled(
    inpaint: Callable[..., Said], photo_path: Path, mask_path: Path, tmp_path: Path, filled: np.ndarray
) -> None:
    code, out, err = inpaint("fill", photo_path, mask_path, "-o", tmp_path / "out.png")
    assert (code, out, err) == (0, "", "inpaint: filled 5.2% of 48x40 pixels with inpaint 1.2\n")
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), filled)


def test_the_suffix_of_out_says_the_format(
    inpaint: Callable[..., Said], photo_path: Path, mask_path: Path, tmp_path: Path
) -> None:
    assert inpaint("fill", photo_path, mask_path, "-o", tmp_path / "out.jpg")[0] == 0
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.format == "JPEG"


def test_options_reach_the_server(
    inpaint: Callable[..., Said],
    server: LoopbackServer,
    photo_path: Path,
    mask_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INPAINT_URL", "http://127.0.0.1:1")
    out = ("-o", tmp_path / "out.png", "--url", server.url)
    options = ("--api-key", "k", "--output-size", "model", "--timeout", "30", "--retries", "0")
    server.on_predict(drop)
    code, _, err = inpaint("fill", photo_path, mask_path, *out, *options)
    assert code == 1
    assert err.count("\n") == 1
    assert len(server.predictions) == 1
    assert inpaint("fill", photo_path, mask_path, *out, *options)[0] == 0
    assert server.predictions[1].headers["Authorization"] == "Bearer k"
    assert server.predictions[1].parts["output_size"].content == b"model"


def test_streams(
    server: LoopbackServer,
    photo_png: bytes,
    mask_png: bytes,
    photo_path: Path,
    mask_path: Path,
    filled: np.ndarray,
) -> None:
    for given, arguments in [(photo_png, ["-", str(mask_path)]), (mask_png, [str(photo_path), "-"])]:
        done = subprocess.run(
            [*COMMAND, "fill", *arguments, "-o", "-", "--url", server.url], input=given, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(done.stdout))), filled)


def test_a_reader_that_went_away_is_one_line(
    server: LoopbackServer, photo_path: Path, mask_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["fill", str(photo_path), str(mask_path), "-o", "-", "--url", server.url]
    done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "inpaint: [Errno 32] Broken pipe\n")


def test_no_picture_goes_to_a_terminal(server: LoopbackServer, photo_path: Path, mask_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ["fill", str(photo_path), str(mask_path), "-o", "-", "--url", server.url]
    done = subprocess.run([*COMMAND, *arguments], stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert "terminal" in done.stderr
    assert server.requests == []


def test_wrong_usage_is_one_line_and_2(
    inpaint: Callable[..., Said], server: LoopbackServer, tmp_path: Path, photo_path: Path, mask_path: Path
) -> None:
    out = ("-o", tmp_path / "out.png")
    wrong = {
        (): "COMMAND",
        ("paint",): "invalid choice",
        ("fill", photo_path, mask_path): "--output",
        ("fill", photo_path, mask_path, "-o", tmp_path / "out.docx"): "'.docx'",
        ("fill", photo_path, mask_path, "-o", tmp_path): "is a folder",
        ("fill", photo_path, mask_path, "-o", tmp_path / "none" / "out.png"): "no folder",
        ("fill", tmp_path / "none.png", mask_path, *out): "No such file",
        ("fill", "-", "-", *out): "stdin",
        ("fill", photo_path, "--masks", tmp_path, *out): "for folders",
        ("fill", photo_path, mask_path, "--overwrite", *out): "for folders",
        ("fill", tmp_path, mask_path, *out): "--masks",
        ("fill", tmp_path, "-o", tmp_path): "replace the inputs",
        ("fill", photo_path, mask_path, *out, "--url", "localhost"): "http://127.0.0.1:8080",
        ("fill", photo_path, mask_path, *out, "--timeout", "0"): "above 0",
        ("fill", photo_path, mask_path, *out, "--timeout", "soon"): "soon",
        ("fill", photo_path, mask_path, *out, "--retries", "-1"): "retries",
        ("fill", photo_path, mask_path, *out, "--output-size", "huge"): "huge",
    }
    for arguments, words in wrong.items():
        code, stdout, err = inpaint(*arguments)
        assert (code, stdout, err.count("\n")) == (2, "", 1), err
        assert words in err
    assert server.requests == []


def test_the_servers_refusal_is_one_line_and_1(
    inpaint: Callable[..., Said], photo_path: Path, tmp_path: Path
) -> None:
    code, _, err = inpaint("fill", photo_path, "-o", tmp_path / "out.png")
    assert code == 1
    assert err.startswith("inpaint: the mask is missing")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_a_file_that_cannot_be_written_is_one_line_and_1(
    inpaint: Callable[..., Said], photo_path: Path, mask_path: Path
) -> None:
    code, _, err = inpaint("fill", photo_path, mask_path, "-o", "/proc/out.png")
    assert code == 1
    assert err.count("\n") == 1


@pytest.fixture
def album(tmp_path: Path, photo_png: bytes, mask_png: bytes) -> Path:
    """Folders photos/ and masks/ with a, b and c, and a d that has no mask."""
    for folder, data in (("photos", photo_png), ("masks", mask_png)):
        (tmp_path / folder).mkdir()
        for name in "abc":
            (tmp_path / folder / f"{name}.png").write_bytes(data)
    return tmp_path


def test_a_folder_is_filled_and_then_skipped(
    inpaint: Callable[..., Said], server: LoopbackServer, album: Path, filled: np.ndarray
) -> None:
    arguments = ("fill", album / "photos", "--masks", album / "masks", "-o", album / "new" / "out")
    said = inpaint(*arguments, "--concurrency", "2")
    assert said == (0, "", "inpaint: 3 filled, 0 skipped as finished, 0 failed\n")
    for name in "abc":
        np.testing.assert_array_equal(pixels(album / "new" / "out" / f"{name}.png"), filled)
    assert inpaint(*arguments) == (0, "", "inpaint: 0 filled, 3 skipped as finished, 0 failed\n")
    assert len(server.predictions) == 3
    assert inpaint(*arguments, "--overwrite")[2] == "inpaint: 3 filled, 0 skipped as finished, 0 failed\n"


def test_failures_are_listed_at_the_end(inpaint: Callable[..., Said], album: Path, photo: np.ndarray) -> None:
    (album / "photos" / "b.png").write_bytes(b"")
    (album / "photos" / "d.png").write_bytes(encode(photo))
    code, _, err = inpaint("fill", album / "photos", "--masks", album / "masks", "-o", album / "out")
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 3
    assert f"{album / 'photos' / 'd.png'}: no mask" in lines[0]
    assert f"{album / 'photos' / 'b.png'}: image is empty" in lines[1]
    assert lines[2] == "inpaint: 2 filled, 0 skipped as finished, 2 failed"
    assert sorted(path.name for path in (album / "out").iterdir()) == ["a.png", "c.png"]


def test_cutouts_need_no_masks(
    inpaint: Callable[..., Said], tmp_path: Path, photo: np.ndarray, hole: np.ndarray
) -> None:
    (tmp_path / "photos").mkdir()
    cutout = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    (tmp_path / "photos" / "a.png").write_bytes(encode(cutout))
    assert inpaint("fill", tmp_path / "photos", "-o", tmp_path / "out")[0] == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a.png")[~hole], cutout[~hole])


def test_a_server_that_refuses_the_key_is_asked_no_further(
    inpaint: Callable[..., Said], server: LoopbackServer, album: Path
) -> None:
    server.usual["/predictions/inpaint"] = reply(401)
    arguments = ("--masks", album / "masks", "-o", album / "out", "--concurrency", "1")
    code, _, err = inpaint("fill", album / "photos", *arguments)
    assert code == 1
    assert "INPAINT_API_KEY" in err
    assert "2 photos untried" in err


def test_a_bar_is_shown_on_a_terminal(server: LoopbackServer, album: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    folders = [str(album / "photos"), "--masks", str(album / "masks"), "-o", str(album / "out")]
    done = subprocess.run([*COMMAND, "fill", *folders, "--url", server.url], stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "3/3" in shown


def test_interruption_ends_it_at_once_and_leaves_no_rubbish(server: LoopbackServer, album: Path) -> None:
    server.usual["/predictions/inpaint"] = stall
    folders = [str(album / "photos"), "--masks", str(album / "masks"), "-o", str(album / "out")]
    process = subprocess.Popen(
        [*COMMAND, "fill", *folders, "--url", server.url], stderr=subprocess.PIPE, text=True
    )
    while len(server.predictions) < 3:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "inpaint: interrupted\n")
    assert list((album / "out").iterdir()) == []


def test_health(inpaint: Callable[..., Said], server: LoopbackServer) -> None:
    assert inpaint("health") == (0, "Healthy\n", "")
    server.usual["/v2"] = reply(200, {"name": "onnx", "version": "0.3"})
    server.usual["/v2/models/inpaint"] = reply(200, {"versions": ["1.2"]})
    assert inpaint("health") == (0, "Healthy, onnx 0.3, model 1.2\n", "")
    server.usual["/ping"] = reply(503, {"status": "Unhealthy"})
    code, out, err = inpaint("health")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_health_waits_for_the_model(inpaint: Callable[..., Said], server: LoopbackServer) -> None:
    server.on_predict(reply(503))
    assert inpaint("health", "--wait", "60") == (0, "Healthy, model 1.2\n", "")
    server.usual["/predictions/inpaint"] = reply(503)
    code, _, err = inpaint("health", "--wait", "0.01")
    assert (code, err.count("\n")) == (1, 1)
    assert "not ready after 0.01 s" in err


def test_version_and_help(inpaint: Callable[..., Said]) -> None:
    assert inpaint("--version") == (0, f"inpaint {inpaint_client.__version__}\n", "")
    for arguments in (("--help",), ("fill", "--help"), ("health", "--help")):
        assert inpaint(*arguments)[0] == 0
    assert "INPAINT_API_KEY" in inpaint("fill", "--help")[1]


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inpaint_client", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"inpaint {inpaint_client.__version__}\n"
