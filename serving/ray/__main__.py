"""`python -m serving.ray`: serve on this machine with Ray Serve."""

import os
import sys

# Ray reads these when it is imported.
os.environ.update(
    {
        name: os.environ.get(name, value)
        for name, value in {
            "RAY_USAGE_STATS_ENABLED": "0",  # by default Ray reports its use to its vendor
            "RAY_SERVE_ENABLE_HA_PROXY": "1",  # requests go through HAProxy, not through a Python process
            "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
            # How long a stopping replica still accepts requests. HAProxy, on this machine, needs less than a second.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
            # By default Ray kills a proxy that takes over 5 s to start, as on a busy machine, and then gives up.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        }.items()
    }
)

if __name__ == "__main__":
    from serving.ray.start import main

    sys.exit(main(sys.argv[1:]))
