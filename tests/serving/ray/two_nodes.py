"""`python -m serving.ray` on a Ray cluster that has two nodes, both on this machine. Takes the same flags.

SIGUSR1 deploys the application again, and SIGUSR2 kills the node that has no proxy.
"""

import signal
import sys
from functools import partial

import serving.ray.__main__  # noqa: F401 (sets Ray's variables, which Ray reads when it is imported)

import ray  # isort: skip
from ray import serve
from ray.cluster_utils import Cluster

from serving.http.settings import load_settings
from serving.ray import start
from serving.ray.app import DEPLOYMENT, build
from serving.ray.settings import RaySettings


def main() -> int:
    settings = load_settings(sys.argv[1:], RaySettings)
    cores = settings.threads * settings.concurrency
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False})
    second = cluster.add_node(num_cpus=cores)
    init = ray.init
    # The command starts a node of its own: here it joins these two instead.
    ray.init = lambda **_: init(cluster.address, log_to_driver=False)
    # On one machine, the proxies of two nodes would need the same port.
    serve.start = partial(serve.start, proxy_location="HeadOnly")
    signal.signal(signal.SIGUSR1, lambda *_: serve.run(build(settings), name=DEPLOYMENT))
    signal.signal(signal.SIGUSR2, lambda *_: cluster.remove_node(second, allow_graceful=False))
    code = start.main(sys.argv[1:])
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return code


if __name__ == "__main__":
    sys.exit(main())
