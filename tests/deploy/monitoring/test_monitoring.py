"""The Prometheus and Grafana files, with a real Prometheus that scrapes both engines."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import needs
import pytest
import requests
import yaml
from engines import ROOT, Engine, free_port
from requests_in_flight import PATIENCE, post, small, until

PROMETHEUS = ROOT / "deploy" / "monitoring" / "prometheus"
GRAFANA = ROOT / "deploy" / "monitoring" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "inpaint.json").read_text())
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.mark.engines
def test_promtool_accepts_the_configuration_and_the_alerts() -> None:
    needs.programs(promtool="prometheus")
    subprocess.run(["promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")], check=True)
    tests = str(Path(__file__).with_name("alerts_test.yml"))
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_scrapes_every_engine_that_compose_knows() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    names = {name for job in jobs for discovery in job["dns_sd_configs"] for name in discovery["names"]}
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert names == {name for name in services if name.startswith(("onnx", "torchserve"))}


def test_the_dashboard_is_what_grafana_provisions() -> None:
    """Its queries use the provisioned data source, and its panels do not overlap."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in compose
    home = compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "inpaint.yaml").read_text())[
        "providers"
    ]
    assert home == f"{provider['options']['path']}/inpaint.json"
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        assert {panel["datasource"]["uid"], *(t["datasource"]["uid"] for t in panel["targets"])} == {
            source["uid"]
        }
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


@contextmanager
def prometheus(folder: Path, **targets: int) -> Iterator[str]:
    """A Prometheus with the shipped configuration, whose jobs scrape the given ports of this host."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return requests.get(f"http://{address}/-/ready", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False

    try:
        until(ready)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def traffic(engine: Engine) -> None:
    """A prediction that succeeds, and one that does not."""
    assert post(engine.url, small()).ok
    assert post(engine.url, {**small(), "image": b"no picture"}).status_code == 400


@pytest.fixture(scope="module")
def scraped(
    onnx_engine: Engine, torchserve_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """A function that queries a Prometheus which has seen both engines at work."""
    needs.programs(prometheus="prometheus")
    ports = {"onnx": onnx_engine.metrics_port, "torchserve": torchserve_engine.metrics_port}
    for engine in (onnx_engine, torchserve_engine):
        traffic(engine)
    with prometheus(tmp_path_factory.mktemp("prometheus"), **ports) as url:

        def ask(query: str) -> list[dict[str, Any]]:
            answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=PATIENCE).json()
            assert answer["status"] == "success", answer
            return list(answer["data"]["result"])

        until(lambda: [result["value"][1] for result in ask("up")] == ["1", "1"])
        for engine in (onnx_engine, torchserve_engine):
            traffic(engine)
        until(lambda: bool(ask("rate(inpaint_stage_seconds_count[30s]) > 0")))
        until(lambda: bool(ask("rate(ts_inference_requests_total[30s]) > 0")))
        yield ask


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_of_the_dashboard_has_an_answer(
    scraped: Callable[[str], list[dict[str, Any]]], name: str
) -> None:
    query = QUERIES[name].replace("$__rate_interval", "30s")
    results = scraped(query)
    if not results:  # TorchServe has this metric only after its first failure
        assert "Requests5XX" in query
        assert "/" not in query
        assert scraped("Requests5XX") == []
    assert all(result["value"][1] != "NaN" for result in results), results


def test_the_dashboard_shows_the_provider_and_every_stage(
    scraped: Callable[[str], list[dict[str, Any]]],
) -> None:
    (model,) = scraped("inpaint_model_info")
    assert model["metric"]["provider"] == "CPUExecutionProvider"
    assert model["metric"]["version"]
    stages = {result["metric"]["stage"] for result in scraped("inpaint_stage_seconds_count > 0")}
    assert {"decode", "prepare", "run", "composite", "encode"} <= stages


def test_healthy_engines_raise_no_alert(scraped: Callable[[str], list[dict[str, Any]]]) -> None:
    assert scraped("ALERTS") == []
    names = re.findall(r"alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text())
    assert len(names) == len(set(names)) == 4
