"""The Helm chart: rendered for each profile, and checked against Kubernetes' schemas and the server's settings."""

import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import needs
import pytest
import yaml
from engines import MODEL, ROOT
from fastapi import FastAPI

from serving.core.models import default_model
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

pytestmark = pytest.mark.containers

CHART = ROOT / "deploy/helm/inpaint"
PROFILES = {"values": [], **{path.stem: ["--values", str(path)] for path in CHART.glob("profiles/*.yaml")}}
OF_KUBERNETES = {"apps/v1", "autoscaling/v2", "networking.k8s.io/v1", "policy/v1", "v1"}
OLDEST, NEWEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"][2:6], "1.37"
Document = dict[str, Any]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([needs.helm(), *arguments], capture_output=True, text=True, timeout=60)


def render(*options: str, kube_version: str = NEWEST) -> dict[str, Document]:
    """The documents of a release named `inpaint` in the namespace `photos`, by kind."""
    done = helm(
        "template", "inpaint", str(CHART), "--namespace", "photos", "--kube-version", kube_version, *options
    )
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind


def values(**settings: str) -> list[str]:
    """Options that set values; `__` stands for the dot between their names."""
    return [
        part for name, value in settings.items() for part in ("--set", f"{name.replace('__', '.')}={value}")
    ]


def pods(documents: dict[str, Document]) -> list[Document]:
    """The pod specifications in the documents."""
    found = []
    if "Deployment" in documents:
        found.append(documents["Deployment"]["spec"]["template"]["spec"])
    if "InferenceService" in documents:
        found.append(documents["InferenceService"]["spec"]["predictor"])
    if "RayService" in documents:
        cluster = documents["RayService"]["spec"]["rayClusterConfig"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        found += [group["template"]["spec"] for group in groups]
    return found


def environment(container: Document) -> dict[str, str]:
    """A container's environment variables whose values are in the document itself."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(), Runtime(MODEL))


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_is_valid(profile: str) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), *PROFILES[profile])
    assert done.returncode == 0, done.stdout + done.stderr
    for version in (OLDEST, NEWEST):
        for document in render(*PROFILES[profile], kube_version=f"{version}.0").values():
            assert document["metadata"]["name"] == "inpaint"
            if document["apiVersion"] in OF_KUBERNETES:
                kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_pod_has_no_more_rights_than_it_needs(profile: str) -> None:
    found = pods(render(*PROFILES[profile]))
    assert found
    for pod in found:
        runs_autoscaler = pod["containers"][0]["name"] == "ray-head"
        assert pod["automountServiceAccountToken"] is runs_autoscaler
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_server_takes_the_variables_of_each_container(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pod in pods(render(*PROFILES[profile])):
        assert pod["enableServiceLinks"] is False  # the Service's own variable would be INPAINT_PORT=tcp://…
        (container,) = pod["containers"]
        variables = {
            name: value for name, value in environment(container).items() if name.startswith("INPAINT_")
        }
        names = {name.removeprefix("INPAINT_").lower() for name in variables}
        assert names <= set(Settings.model_fields)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = Settings()
        assert settings.require_gpu is (profile == "gpu")
        if profile not in ("download", "volume"):
            assert settings.model == [str(default_model("cuda" if profile == "gpu" else "cpu"))]
        if container["name"] != "ray-head":
            cores = int(container["resources"]["limits"]["cpu"])
            assert settings.threads * settings.concurrency == cores
        assert pod["terminationGracePeriodSeconds"] > 10 + settings.graceful_seconds


@pytest.mark.parametrize(
    ("cpu", "concurrency", "threads"),
    [("4", "1", "4"), ("1500m", "1", "2"), ("500m", "2", "1"), ("2.5", "1", "3"), ("8", "3", "2")],
)
def test_the_threads_follow_from_the_limit(cpu: str, concurrency: str, threads: str) -> None:
    options = values(resources__limits__cpu=cpu, server__concurrency=concurrency)
    (pod,) = pods(render(*options))
    assert environment(pod["containers"][0])["INPAINT_THREADS"] == threads


def test_requests_find_the_server(app: FastAPI) -> None:
    documents = render(*PROFILES["hpa"])
    deployment, service = documents["Deployment"]["spec"], documents["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        service["selector"],
        deployment["selector"]["matchLabels"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    (container,) = deployment["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": Settings.model_fields["port"].default}]
    assert [port["targetPort"] for port in service["ports"]] == ["http"]
    assert documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == "Deployment"
    assert "replicas" not in deployment
    paths = set(app.openapi()["paths"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in paths


def test_the_ingress_has_every_route_but_the_metrics(app: FastAPI) -> None:
    ingress = render(*PROFILES["hpa"])["Ingress"]
    routes = ingress["spec"]["rules"][0]["http"]["paths"]

    def is_public(path: str) -> bool:
        return any(
            path == route["path"] or (route["pathType"] == "Prefix" and path.startswith(route["path"] + "/"))
            for route in routes
        )

    plain = {path for route in app.routes if (path := getattr(route, "path", None))}
    for path in {*app.openapi()["paths"], *plain}:
        assert is_public(path) is (path != "/metrics"), path
    annotations = ingress["metadata"]["annotations"]
    limit = Settings.model_fields["max_body_bytes"].default
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == str(limit)


def test_the_api_key_comes_from_a_secret_and_prometheus_sends_it() -> None:
    documents = render(*PROFILES["keda"], *values(apiKey__secret="key", apiKey__entry="entry"))
    (pod,) = pods(documents)
    assert {
        "name": "INPAINT_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "key", "key": "entry"}},
    } in pod["containers"][0]["env"]
    (endpoint,) = documents["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "key", "key": "entry"}}


def test_keda_asks_for_what_the_servers_report(app: FastAPI) -> None:
    (trigger,) = render(*PROFILES["keda"])["ScaledObject"]["spec"]["triggers"]
    reported = app.state.service.metrics.text().decode()
    labels = '{namespace="photos",service="inpaint"}'
    gauges = ("inpaint_predictions_running", "inpaint_predictions_waiting")
    for gauge in gauges:
        assert f"# TYPE {gauge} gauge" in reported
    assert trigger["metadata"]["query"] == " + ".join(f"sum({gauge}{labels})" for gauge in gauges)


def strict(schema: Any) -> Any:
    """A CRD's schema as a JSON schema that allows no fields except those it names."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    elif isinstance(schema.get("properties"), dict) and not schema.get(
        "x-kubernetes-preserve-unknown-fields"
    ):
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize("profile", ["kserve", "ray"])
def test_custom_resources_follow_their_definitions(profile: str) -> None:
    folder = os.environ.get("CRD_FOLDER")
    if not folder:
        pytest.skip(
            "CRD_FOLDER must name a folder with inferenceservice.crd.yaml.gz and rayservice.crd.yaml.gz"
        )
    (document,) = render(*PROFILES[profile]).values()
    text = gzip.decompress((Path(folder) / f"{document['kind'].lower()}.crd.yaml.gz").read_bytes())
    definition = yaml.load(text, Loader=yaml.CSafeLoader)
    group, _, name = document["apiVersion"].partition("/")
    assert definition["spec"]["group"] == group
    (version,) = (version for version in definition["spec"]["versions"] if version["name"] == name)
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft202012Validator(schema)
    assert not [error.message for error in validator.iter_errors(document)]
    document["spec"]["replica"] = 1
    assert not validator.is_valid(document)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own
def test_ray_takes_its_configuration() -> None:
    """The RayService's configuration and deploy/ray/serve.yaml describe the same application."""
    from ray.serve.schema import ServeDeploySchema

    from serving.ray.app import build
    from serving.ray.settings import RaySettings

    config = yaml.safe_load(render(*PROFILES["ray"])["RayService"]["spec"]["serveConfigV2"])
    alone = yaml.safe_load((ROOT / "deploy/ray/serve.yaml").read_text())
    for document in (config, alone):
        (application,) = ServeDeploySchema.model_validate(document).applications
        assert application.import_path == f"{build.__module__}:{build.__name__}"
        settings = RaySettings.model_validate(application.args)
        assert build(settings)._bound_deployment.name == application.deployments[0].name
    for name in ("proxy_location", "http_options"):
        assert config[name] == alone[name]


def test_a_ray_cluster_cannot_be_used_without_its_token() -> None:
    """Whoever can reach Ray's ports can run code, and the chart has no NetworkPolicy for them."""
    cluster = render(*PROFILES["ray"])["RayService"]["spec"]["rayClusterConfig"]
    assert cluster["authOptions"]["mode"] == "token"


def test_only_a_download_allows_egress() -> None:
    assert render()["NetworkPolicy"]["spec"]["egress"] == []
    ((rule),) = render(*PROFILES["download"])["NetworkPolicy"]["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53, 443}


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    """The URL of the file `model.onnx` on a local server."""
    (tmp_path / "model.onnx").write_bytes(b"a model")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/model.onnx"
        server.shutdown()


@pytest.mark.parametrize("content", [b"a model", b"another model"])
def test_a_pod_downloads_its_model_and_checks_it(file_server: str, tmp_path: Path, content: bytes) -> None:
    options = values(
        model__download__url=file_server, model__download__sha256=hashlib.sha256(content).hexdigest()
    )
    (pod,) = pods(render(*PROFILES["download"], *options))
    (container,) = pod["initContainers"]
    path = tmp_path / "downloaded.onnx"
    *arguments, target = container["args"]
    assert environment(pod["containers"][0])["INPAINT_MODEL"] == target
    assert container["command"][0] == "python"
    command = [sys.executable, *container["command"][1:], *arguments, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if content == b"a model":
        assert path.read_bytes() == content
    else:
        assert done.returncode == 1
        assert "has the sha256" in done.stderr
        assert "Traceback" not in done.stderr
        assert not path.exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replica": "3"}, "'replica' not allowed"),
        ({"replicas": "0"}, "/replicas"),
        ({"workload": "pod"}, "/workload"),
        ({"autoscaling__by": "cpus"}, "/autoscaling/by"),
        ({"workload": "kserve", "autoscaling__by": "inFlight"}, "/autoscaling/by"),
        ({"workload": "ray", "autoscaling__by": "cpu"}, "/autoscaling/by"),
        ({"model__source": "pvc"}, "/model/pvc/claim"),
        ({"model__source": "download"}, "/model/download/url"),
        ({"ingress__enabled": "true"}, "/ingress/host"),
        ({"resources__limits__cpu": "two"}, "/resources/limits/cpu"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(settings: dict[str, str], words: str) -> None:
    done = helm("template", "inpaint", str(CHART), *values(**settings))
    assert done.returncode != 0
    assert words in done.stderr
