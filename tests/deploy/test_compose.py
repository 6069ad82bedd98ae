"""compose.yaml: checked against the Compose specification, and for what every service must have."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import ROOT

from serving.core.models import default_model
from serving.core.runtime import Device

FILE = ROOT / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENGINES = [name for name in SERVICES if name.startswith(("onnx", "torchserve"))]


def test_it_follows_the_specification() -> None:
    command = [
        str(Path(sys.executable).with_name("check-jsonschema")),
        "--builtin-schema",
        "vendor.compose-spec",
    ]
    done = subprocess.run([*command, str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "network_mode", "pid", "cap_add", "devices"} & set(service)
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_limits_and_restarts(name: str, dockerfile: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    if "build" in service:  # the image has its health check
        _, found, _ = dockerfile.partition(f" AS {service['build']['target']}\n")
        assert found
    else:
        assert service["healthcheck"]["test"]
        assert re.fullmatch(r"\$\{\w+:-[\w/]+:v?\d+\.\d+\.\d+\}", service["image"])


def test_only_the_proxy_and_the_dashboard_publish_ports_and_only_on_this_host() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"proxy", "grafana"}
    for (port,) in ports.values():
        assert port.startswith("${INPAINT_ADDRESS:-127.0.0.1}:")
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in (*ENGINES, "prometheus"):
        assert set(SERVICES[name]["networks"]) == {"inside"}


def test_every_engine_has_a_profile_and_the_proxy_waits_for_it() -> None:
    profiles = [profile for name in ENGINES for profile in SERVICES[name]["profiles"]]
    assert sorted(profiles) == ["gpu", "onnx", "torchserve", "torchserve-gpu"]
    assert sorted(SERVICES["proxy"]["profiles"]) == sorted(profiles)
    waits = {name: {"condition": "service_healthy", "required": False} for name in ENGINES}
    assert SERVICES["proxy"]["depends_on"] == waits
    (upstream,) = SERVICES["proxy"]["environment"]["PROXY_ENGINES"].split()
    for name in ENGINES:
        assert f"{SERVICES[name]['networks']['inside']['aliases'][0]}:8080" == upstream


def test_only_gpu_services_ask_for_a_gpu() -> None:
    for name, service in SERVICES.items():
        devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        assert bool(devices) is name.endswith("-gpu")


def test_the_stop_grace_period_is_longer_than_a_shutdown() -> None:
    from serving.http.settings import Settings

    for name in (*ENGINES, "proxy"):
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > int(Settings.model_fields["graceful_seconds"].default) + 15  # Java's exit time


def test_mounted_files_exist() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    for source in sources:
        if source.startswith("./"):
            assert (ROOT / source).exists()


@pytest.mark.parametrize(("name", "device"), [("onnx", "cpu"), ("onnx-gpu", "cuda")])
def test_a_mounted_model_takes_the_place_of_the_default(name: str, device: Device) -> None:
    file = default_model(device).relative_to(ROOT)
    assert SERVICES[name]["volumes"] == [f"${{INPAINT_MODEL:-./{file}}}:/app/{file}:ro"]


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"\$\{(\w+):-", FILE.read_text()))))
def test_every_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in (ROOT / "docs" / "containers.md").read_text()
