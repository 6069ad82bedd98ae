import io
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import inpaint_client
import numpy as np
import pytest
from inpaint_client.cli import main
from inpaint_loopback import LoopbackServer, drop, encode, reply, stall
from PIL import Image

COMMAND = [str(Path(sys.executable).with_name("inpaint"))]

Output = tuple[int, str, str]


@pytest.fixture
def inpaint(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Output]:
    """Run the command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("INPAINT_URL", server.url)

    def run(*arguments: object) -> Output:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return code, output.out, output.err

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
    inpaint: Callable[..., Output], photo_path: Path, mask_path: Path, tmp_path: Path, filled: np.ndarray
) -> None:
    code, out, err = inpaint("fill", photo_path, mask_path, "-o", tmp_path / "out.png")
    assert (code, out, err) == (0, "", "inpaint: filled 5.2% of 48x40 pixels with inpaint 1.2\n")
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), filled)


def test_the_suffix_of_the_output_determines_the_format(
    inpaint: Callable[..., Output], photo_path: Path, mask_path: Path, tmp_path: Path
) -> None:
    assert inpaint("fill", photo_path, mask_path, "-o", tmp_path / "out.jpg")[0] == 0
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.format == "JPEG"


def test_options_are_sent(
    inpaint: Callable[..., Output],
    server: LoopbackServer,
    photo_path: Path,
    mask_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INPAINT_URL", "http://127.0.0.1:1")
    out = ("-o", tmp_path / "out.png", "--url", server.url)
    options = ("--api-key", "k", "--output-size", "model", "--timeout", "30", "--retry-for", "0")
    server.on_predict(drop)
    code, _, err = inpaint("fill", photo_path, mask_path, *out, *options)
    assert code == 1
    assert err.count("\n") == 1
    assert len(server.predictions) == 1
    assert inpaint("fill", photo_path, mask_path, *out, *options)[0] == 0
    assert server.predictions[1].headers["Authorization"] == "Bearer k"
    assert server.predictions[1].parts["output_size"].content == b"model"
    assert server.predictions[1].parts["output_format"].content == b"png"


@pytest.mark.parametrize(
    ("name", "options", "asked"),
    [
        ("a.jpg", (), b"jpeg"),
        ("a.webp", (), b"webp"),
        ("a.jpeg", ("--output-format", "same"), b"same"),
        ("a.tif", (), None),
    ],
)
def test_the_requested_format_follows_from_the_output_name(
    server: LoopbackServer,
    inpaint: Callable[..., Output],
    photo_path: Path,
    mask_path: Path,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    asked: bytes | None,
) -> None:
    out = tmp_path / name
    assert inpaint("fill", photo_path, mask_path, "-o", out, *options, "--metadata", "none")[0] == 0
    assert out.is_file()
    parts = server.predictions[0].parts
    assert (parts["output_format"].content if asked else parts.get("output_format")) == asked
    assert parts["metadata"].content == b"none"


def test_an_output_name_of_another_format_is_rejected(
    inpaint: Callable[..., Output], server: LoopbackServer, photo_path: Path, mask_path: Path, tmp_path: Path
) -> None:
    code, _, err = inpaint("fill", photo_path, mask_path, "-o", tmp_path / "a.png", "--output-format", "jpeg")
    assert (code, err.count("\n")) == (2, 1)
    assert "a.png does not match --output-format jpeg" in err
    assert not server.predictions


def test_stdin_and_stdout(
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


def test_a_broken_pipe_is_reported_in_one_line(
    server: LoopbackServer, photo_path: Path, mask_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["fill", str(photo_path), str(mask_path), "-o", "-", "--url", server.url]
    done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "inpaint: [Errno 32] Broken pipe\n")


def test_images_are_not_written_to_a_terminal(
    server: LoopbackServer, photo_path: Path, mask_path: Path
) -> None:
    ours, theirs = pty.openpty()
    arguments = ["fill", str(photo_path), str(mask_path), "-o", "-", "--url", server.url]
    done = subprocess.run([*COMMAND, *arguments], stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert "terminal" in done.stderr
    assert server.requests == []


def test_invalid_usage_is_reported_in_one_line_with_exit_code_2(
    inpaint: Callable[..., Output], server: LoopbackServer, tmp_path: Path, photo_path: Path, mask_path: Path
) -> None:
    out = ("-o", tmp_path / "out.png")
    wrong = {
        (): "COMMAND",
        ("paint",): "invalid choice",
        ("fill", photo_path, mask_path): "--output",
        ("fill", photo_path, mask_path, "-o", tmp_path / "out.docx"): "'.docx'",
        ("fill", photo_path, mask_path, "-o", tmp_path): "is a folder",
        ("fill", photo_path, mask_path, "-o", tmp_path / "none" / "out.png"): "does not exist",
        ("fill", tmp_path / "none.png", mask_path, *out): "No such file",
        ("fill", "-", "-", *out): "stdin",
        ("fill", photo_path, "--masks", tmp_path, *out): "must be a folder",
        ("fill", photo_path, mask_path, "--overwrite", *out): "--overwrite",
        ("fill", photo_path, mask_path, "--recursive", *out): "--recursive",
        ("fill", tmp_path, mask_path, *out): "must be a folder",
        ("fill", tmp_path, "-o", tmp_path): "replace the inputs",
        ("fill", tmp_path / "*.gif", mask_path, "-o", tmp_path / "new"): "no files match",
        ("fill", photo_path, "-", "--mask", mask_path, "-o", tmp_path / "new"): "one photo",
        ("fill", tmp_path, "--mask", mask_path, "-o", "-"): "one photo",
        ("fill", photo_path, "--mask", mask_path, "--masks", tmp_path, *out): "not allowed with",
        ("fill", photo_path, mask_path, *out, "--url", "ftp://localhost"): "http://127.0.0.1:8080",
        ("fill", photo_path, mask_path, *out, "--timeout", "0"): "timeout",
        ("fill", photo_path, mask_path, *out, "--timeout", "soon"): "soon",
        ("fill", photo_path, mask_path, *out, "--retry-for", "-1"): "retry_for",
        ("fill", photo_path, mask_path, *out, "--output-size", "huge"): "huge",
    }
    for arguments, message in wrong.items():
        code, stdout, err = inpaint(*arguments)
        assert (code, stdout, err.count("\n")) == (2, "", 1), err
        assert message in err
    assert server.requests == []


def test_a_server_error_is_reported_in_one_line_with_exit_code_1(
    inpaint: Callable[..., Output], photo_path: Path, tmp_path: Path
) -> None:
    code, _, err = inpaint("fill", photo_path, "-o", tmp_path / "out.png")
    assert code == 1
    assert err.startswith("inpaint: the mask is missing")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_an_unwritable_file_is_reported_in_one_line_with_exit_code_1(
    inpaint: Callable[..., Output], photo_path: Path, mask_path: Path
) -> None:
    code, _, err = inpaint("fill", photo_path, mask_path, "-o", "/proc/out.png")
    assert code == 1
    assert err.count("\n") == 1


@pytest.fixture
def album(tmp_path: Path, photo_png: bytes, mask_png: bytes) -> Path:
    """Folders photos/ and masks/, each with a.png, b.png and c.png."""
    for folder, data in (("photos", photo_png), ("masks", mask_png)):
        (tmp_path / folder).mkdir()
        for name in "abc":
            (tmp_path / folder / f"{name}.png").write_bytes(data)
    return tmp_path


def test_a_folder_is_filled_and_existing_results_are_skipped(
    inpaint: Callable[..., Output], server: LoopbackServer, album: Path, filled: np.ndarray
) -> None:
    arguments = ("fill", album / "photos", "--masks", album / "masks", "-o", album / "new" / "out")
    output = inpaint(*arguments, "--concurrency", "2")
    assert output == (0, "", "inpaint: 3 filled, 0 skipped, 0 failed\n")
    for name in "abc":
        np.testing.assert_array_equal(pixels(album / "new" / "out" / f"{name}.png"), filled)
    assert inpaint(*arguments) == (0, "", "inpaint: 0 filled, 3 skipped, 0 failed\n")
    assert len(server.predictions) == 3
    assert inpaint(*arguments, "--overwrite")[2] == "inpaint: 3 filled, 0 skipped, 0 failed\n"


def test_failures_are_listed_at_the_end(
    inpaint: Callable[..., Output], album: Path, photo: np.ndarray
) -> None:
    (album / "photos" / "b.png").write_bytes(b"")
    (album / "photos" / "d.png").write_bytes(encode(photo))
    code, _, err = inpaint("fill", album / "photos", "--masks", album / "masks", "-o", album / "out")
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 3
    assert f"{album / 'photos' / 'd.png'}: no mask" in lines[0]
    assert f"{album / 'photos' / 'b.png'}: image is empty" in lines[1]
    assert lines[2] == "inpaint: 2 filled, 0 skipped, 2 failed"
    assert sorted(path.name for path in (album / "out").iterdir()) == ["a.png", "c.png"]


def test_one_mask_for_several_files_and_patterns(
    inpaint: Callable[..., Output], album: Path, mask_path: Path, filled: np.ndarray
) -> None:
    files = (album / "photos" / "a.png", album / "photos" / "[bc].png")
    output = inpaint("fill", *files, "--mask", mask_path, "-o", album / "out")
    assert output == (0, "", "inpaint: 3 filled, 0 skipped, 0 failed\n")
    for name in "abc":
        np.testing.assert_array_equal(pixels(album / "out" / f"{name}.png"), filled)


def test_one_mask_is_scaled_on_request(inpaint: Callable[..., Output], album: Path, tmp_path: Path) -> None:
    mask = tmp_path / "small.png"
    mask.write_bytes(encode(np.eye(20, dtype=bool)))
    command = ("fill", album / "photos", "--mask", mask, "-o", album / "out")
    assert inpaint(*command)[0] == 1
    assert inpaint(*command, "--scale-mask") == (0, "", "inpaint: 3 filled, 0 skipped, 0 failed\n")
    single = ("fill", album / "photos" / "a.png", mask, "-o", tmp_path / "single.png", "--scale-mask")
    assert inpaint(*single)[0] == 0


def test_with_the_mask_option_the_output_of_one_photo_can_be_a_folder(
    inpaint: Callable[..., Output], photo_path: Path, mask_path: Path, tmp_path: Path
) -> None:
    assert inpaint("fill", photo_path, "--mask", mask_path, "-o", f"{tmp_path}/out/")[0] == 0
    assert (tmp_path / "out" / "photo.png").is_file()
    assert inpaint("fill", photo_path, "--mask", mask_path, "-o", tmp_path / "one.jpg")[0] == 0
    assert (tmp_path / "one.jpg").is_file()


def test_subfolders_are_filled_on_request(inpaint: Callable[..., Output], album: Path) -> None:
    for folder in ("photos", "masks"):
        (album / folder / "day").mkdir()
        (album / folder / "a.png").rename(album / folder / "day" / "a.png")
    command = ("fill", album / "photos", "--masks", album / "masks", "-o", album / "out")
    assert inpaint(*command)[2] == "inpaint: 2 filled, 0 skipped, 0 failed\n"
    assert inpaint(*command, "--recursive")[2] == "inpaint: 1 filled, 2 skipped, 0 failed\n"
    assert (album / "out" / "day" / "a.png").is_file()


def test_photos_with_transparent_pixels_need_no_masks(
    inpaint: Callable[..., Output], tmp_path: Path, photo: np.ndarray, hole: np.ndarray
) -> None:
    (tmp_path / "photos").mkdir()
    cutout = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    (tmp_path / "photos" / "a.png").write_bytes(encode(cutout))
    assert inpaint("fill", tmp_path / "photos", "-o", tmp_path / "out")[0] == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a.png")[~hole], cutout[~hole])


def test_a_rejected_api_key_stops_the_command(
    inpaint: Callable[..., Output], server: LoopbackServer, album: Path
) -> None:
    server.usual["/predictions/inpaint"] = reply(401)
    arguments = ("--masks", album / "masks", "-o", album / "out", "--concurrency", "1")
    code, _, err = inpaint("fill", album / "photos", *arguments)
    assert code == 1
    assert "INPAINT_API_KEY" in err
    assert "2 photos remaining" in err


def read_to_the_end(terminal: int) -> str:
    """Everything written to a terminal whose other end is closed; it arrives in parts."""
    content = b""
    with open(terminal, "rb", buffering=0) as file, suppress(OSError):  # Linux reports the end as an error
        while part := file.read(100_000):
            content += part
    return content.decode()


def test_a_progress_bar_is_shown_on_a_terminal(server: LoopbackServer, album: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    folders = [str(album / "photos"), "--masks", str(album / "masks"), "-o", str(album / "out")]
    done = subprocess.run([*COMMAND, "fill", *folders, "--url", server.url], stderr=theirs)
    os.close(theirs)
    shown = read_to_the_end(ours)
    assert done.returncode == 0
    assert "3/3" in shown


def test_retries_are_shown_on_a_terminal(server: LoopbackServer, photo_path: Path, mask_path: Path) -> None:
    server.on_predict(reply(503))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 200))
    arguments = ["fill", str(photo_path), str(mask_path), "-o", str(photo_path.with_name("out.png"))]
    done = subprocess.run([*COMMAND, *arguments, "--url", server.url], stderr=theirs)
    os.close(theirs)
    shown = read_to_the_end(ours)
    assert done.returncode == 0
    assert "retrying for up to 60 s" in shown


def test_a_url_without_scheme_is_completed(
    inpaint: Callable[..., Output], server: LoopbackServer, photo_path: Path, mask_path: Path, tmp_path: Path
) -> None:
    url = server.url.removeprefix("http://")
    assert inpaint("fill", photo_path, mask_path, "-o", tmp_path / "out.png", "--url", url)[0] == 0


def test_an_interrupt_ends_the_command_at_once_and_leaves_no_files(
    server: LoopbackServer, album: Path
) -> None:
    server.usual["/predictions/inpaint"] = stall
    folders = [str(album / "photos"), "--masks", str(album / "masks"), "-o", str(album / "out")]
    command = [*COMMAND, "fill", *folders, "--url", server.url]
    # A shell starts background jobs with SIGINT ignored, which the command would inherit from these tests.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listening) as process:
        try:
            while len(server.predictions) < 3:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "inpaint: interrupted\n")
    assert list((album / "out").iterdir()) == []


def test_a_mask_is_written(
    inpaint: Callable[..., Output], server: LoopbackServer, photo_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "marks.png"
    code, _, err = inpaint("mask", photo_path, "-o", out, "--sensitivity", "0.2")
    assert code == 0
    assert err.startswith("inpaint: found marks on ")
    assert err.endswith("of 48x40 pixels\n")
    assert set(np.unique(pixels(out))) == {0, 255}
    (request,) = server.requests
    assert request.parts["sensitivity"].content == b"0.2"


def test_masks_found_for_a_folder_can_be_passed_to_fill(
    inpaint: Callable[..., Output], album: Path, tmp_path: Path
) -> None:
    arguments = ("mask", album / "photos", "-o", tmp_path / "found")
    assert inpaint(*arguments) == (0, "", "inpaint: 3 masks written, 0 skipped, 0 failed\n")
    assert inpaint(*arguments) == (0, "", "inpaint: 0 masks written, 3 skipped, 0 failed\n")
    filled = inpaint("fill", album / "photos", "--masks", tmp_path / "found", "-o", album / "out")
    assert filled == (0, "", "inpaint: 3 filled, 0 skipped, 0 failed\n")


def test_a_photo_whose_marks_cannot_be_found_does_not_stop_the_others(
    inpaint: Callable[..., Output], album: Path
) -> None:
    (album / "photos" / "b.png").write_bytes(b"")
    code, _, err = inpaint("mask", album / "photos", "-o", album / "found")
    assert code == 1
    assert "b.png: image is empty" in err
    assert err.endswith("inpaint: 2 masks written, 0 skipped, 1 failed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("PHOTO", "-o", "OUT/mask.jpg"), "a mask is a PNG file"),
        (("PHOTO", "-o", "OUT/mask.png", "--sensitivity", "2"), "it must be in [0, 1]"),
        (("PHOTO", "-o", "OUT/nowhere/mask.png"), "does not exist"),
        (("PHOTO", "-o", "OUT/mask.png", "--overwrite"), "require a folder or several photos"),
        (("PHOTO", "-", "-o", "OUT"), "can only be used with one photo"),
        (("PHOTO", "OUT", "-o", "OUT/mask.png"), "must be a folder"),
    ],
)
def test_invalid_usage_of_mask_is_reported_in_one_line_with_exit_code_2(
    inpaint: Callable[..., Output],
    server: LoopbackServer,
    photo_path: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    filled_in = [a.replace("PHOTO", str(photo_path)).replace("OUT", str(tmp_path)) for a in arguments]
    code, _, err = inpaint("mask", *filled_in)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert not server.requests


def test_health(inpaint: Callable[..., Output], server: LoopbackServer) -> None:
    assert inpaint("health") == (0, "Healthy\n", "")
    server.usual["/v2"] = reply(200, {"name": "onnx", "version": "0.3"})
    server.usual["/v2/models/inpaint"] = reply(200, {"versions": ["1.2"]})
    assert inpaint("health") == (0, "Healthy, onnx 0.3, model 1.2\n", "")
    server.usual["/ping"] = reply(503, {"status": "Unhealthy"})
    code, out, err = inpaint("health")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_health_waits_for_the_model(inpaint: Callable[..., Output], server: LoopbackServer) -> None:
    server.on_predict(reply(503))
    assert inpaint("health", "--wait", "60") == (0, "Healthy, model 1.2\n", "")
    server.usual["/predictions/inpaint"] = reply(503)
    code, _, err = inpaint("health", "--wait", "0.01")
    assert (code, err.count("\n")) == (1, 1)
    assert "not ready after 0.01 s" in err


def test_version_and_help(inpaint: Callable[..., Output]) -> None:
    assert inpaint("--version") == (0, f"inpaint {inpaint_client.__version__}\n", "")
    for arguments in (("--help",), ("fill", "--help"), ("health", "--help")):
        assert inpaint(*arguments)[0] == 0
    shown = " ".join(inpaint("fill", "--help")[1].split())
    for text in ("INPAINT_API_KEY", "including retries (default: 120)", "(default: 60; 0: do not retry)"):
        assert text in shown


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inpaint_client", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"inpaint {inpaint_client.__version__}\n"
