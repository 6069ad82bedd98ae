# The images of the servers, one target each:
#
#   docker build -t inpaint .                                       onnx: ONNX Runtime, for CPUs (the default)
#   docker build -t inpaint:gpu --target onnx-gpu .                 ONNX Runtime with CUDA
#   docker build -t inpaint:torchserve --target torchserve .        TorchServe, for CPUs
#   docker build -t inpaint:torchserve-gpu --target torchserve-gpu .
#   docker build -t inpaint:ray --target ray .                      a node of a Ray cluster
#   docker build -t inpaint:proxy --target proxy .                  the page, and nginx in front of any of them
#
# Each runs as user 10001, writes only to /tmp, completes the requests in flight before it stops on SIGTERM, and is
# healthy when its model is ready. Compilers, pip's cache and tests stay in build stages.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:20-bookworm-slim


# ---- Build stages: the page, the Python packages, the project's files ----

FROM ${NODE_IMAGE} AS page
WORKDIR /project/clients/web
# Behind a TLS-inspecting proxy: a file with its certificate authorities, in the builder.
ARG NODE_EXTRA_CA_CERTS
COPY clients/web/package.json clients/web/package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY clients/web/ ./
# The build makes the page's own, smaller model from inpaint.onnx.
COPY models/inpaint.onnx /project/models/
COPY models/marks/marks.onnx /project/models/marks/
RUN npm run build


FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 inpaint \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin inpaint
WORKDIR /app


FROM base AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all: PIP_PYTHON=/opt/venv/bin/python
RUN python -m venv --without-pip /opt/venv

FROM packages AS onnx-packages
COPY deploy/requirements/onnx.txt ./
# jpeglib brings twenty builds of libjpeg and their sources, 78 MB: the project uses 9f, and importing it needs 6b.
RUN pip install --require-hashes --no-deps --requirement onnx.txt \
    && find /opt/venv -path '*/cjpeglib/*' ! -name 'cjpeglib_6b.*' ! -name 'cjpeglib_9f.*' ! -name '*.py' -delete

FROM packages AS onnx-gpu-packages
COPY deploy/requirements/onnx-gpu.txt ./
RUN pip install --require-hashes --no-deps --requirement onnx-gpu.txt

# torch has a build for each kind of host. On x86-64 the default index has the CUDA build, several gigabytes large. The
# CPU build (+cpu) is preferred if it is found: PIP_EXTRA_INDEX_URL names an index that has it, PIP_FIND_LINKS a folder
# in the builder.
FROM packages AS torchserve-packages
COPY constraints.txt deploy/requirements/torchserve.txt ./
RUN pip install --require-hashes --no-deps --requirement torchserve.txt \
    && find /opt/venv -path '*/cjpeglib/*' ! -name 'cjpeglib_6b.*' ! -name 'cjpeglib_9f.*' ! -name '*.py' -delete
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
RUN pip install --constraint constraints.txt torch

FROM packages AS torchserve-gpu-packages
COPY constraints.txt deploy/requirements/torchserve-gpu.txt ./
RUN pip install --require-hashes --no-deps --requirement torchserve-gpu.txt \
    && pip install --constraint constraints.txt torch 'onnxruntime-gpu[cuda,cudnn]'


FROM onnx-packages AS ray-packages
COPY constraints.txt ./
RUN pip install --constraint constraints.txt 'ray[serve]'


FROM base AS http-files
COPY serving/*.py serving/
COPY serving/core/ serving/core/
COPY serving/http/ serving/http/
# The model in 8 bits for CPUs, and in float32 for GPUs.
COPY models/inpaint-int8.onnx models/inpaint.onnx models/
COPY models/marks/ models/marks/
COPY deploy/healthcheck.py ./
COPY --from=page /project/clients/web/build/ clients/web/build/
RUN python -m compileall -q serving

FROM onnx-packages AS torchserve-files
COPY constraints.txt ./
RUN pip install --no-deps --constraint constraints.txt torch-model-archiver
COPY serving/ serving/
COPY export/ export/
COPY training/__init__.py training/files.py training/
COPY models/inpaint-int8.onnx models/inpaint.onnx deploy/healthcheck.py ./
RUN build='from pathlib import Path; from sys import argv; from export.mar import build_mar; build_mar(*map(Path, argv[1:]))' \
    && python -c "$build" inpaint-int8.onnx cpu/models && python -c "$build" inpaint.onnx gpu/models \
    && mkdir --parents files/serving && cp -r serving/__init__.py serving/core serving/torchserve files/serving/ \
    && cp healthcheck.py files/ && python -m compileall -q files/serving


# ---- The images ----

FROM base AS proxy
LABEL org.opencontainers.image.title="Inpainting: page and reverse proxy" \
      org.opencontainers.image.description="The web page, and nginx in front of one or several inpainting servers"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx-light gettext-base \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf/*-old \
    && install --directory --owner=10001 --group=10001 /var/cache/proxy
COPY serving/nginx/ ./
COPY deploy/healthcheck.py ./
COPY --from=page /project/clients/web/build/ /srv/page/
ENV PROXY_PORT=8000 PROXY_BODIES=/var/cache/proxy
USER 10001:10001
EXPOSE 8000
# On SIGQUIT nginx completes the requests in flight; on SIGTERM it closes their connections.
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
    CMD python -I healthcheck.py "http://127.0.0.1:${PROXY_PORT}/ping"
ENTRYPOINT ["/app/start.sh"]


FROM base AS torchserve-base
LABEL org.opencontainers.image.title="Inpainting: TorchServe" \
      org.opencontainers.image.description="Fills the masked part of photos, over HTTP"
# Java opens no TLS connections here, so it needs no certificate store.
RUN apt-get update \
    && CACERT_UPDATES=disabled apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf/*-old
EXPOSE 8080 8082
# The management port, 8081, listens only on the container's loopback interface.
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s \
    CMD ["python", "-I", "healthcheck.py", "http://127.0.0.1:8081/models/inpaint"]
ENTRYPOINT ["python", "-m", "serving.torchserve.start", "--mar", "models/inpaint.mar", "--host", "0.0.0.0"]

FROM torchserve-base AS torchserve-gpu
COPY --from=torchserve-gpu-packages /opt/venv /opt/venv
COPY --from=torchserve-files /app/files/ /app/gpu/ ./
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
# It refuses to start without a GPU.
CMD ["--device", "cuda"]

FROM torchserve-base AS torchserve
COPY --from=torchserve-packages /opt/venv /opt/venv
COPY --from=torchserve-files /app/files/ /app/cpu/ ./
USER 10001:10001


FROM base AS ray
LABEL org.opencontainers.image.title="Inpainting: Ray" \
      org.opencontainers.image.description="A node of a Ray cluster that fills the masked part of photos, over HTTP"
# KubeRay's probes use wget.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY --from=ray-packages /opt/venv /opt/venv
COPY --from=http-files /app/ ./
COPY serving/ray/ serving/ray/
# Ray's processes run in other folders, and keep the cluster's token in their home directory.
ENV PYTHONPATH=/app HOME=/tmp RAY_USAGE_STATS_ENABLED=0 \
    RAY_SERVE_ENABLE_HA_PROXY=1 RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING=0 \
    RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=60 RAY_AUTH_MODE=token
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "serving.ray", "--host", "0.0.0.0", "--port", "8000"]


FROM base AS onnx-base
LABEL org.opencontainers.image.title="Inpainting: ONNX Runtime" \
      org.opencontainers.image.description="Fills the masked part of photos, over HTTP, with a page"
ENV INPAINT_HOST=0.0.0.0 INPAINT_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
    CMD python -I healthcheck.py "http://127.0.0.1:${INPAINT_PORT}/v2/health/ready"
ENTRYPOINT ["python", "-m", "serving"]

FROM onnx-base AS onnx-gpu
COPY --from=onnx-gpu-packages /opt/venv /opt/venv
COPY --from=http-files /app/ ./
# It refuses to start without a GPU.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    INPAINT_DEVICE=cuda INPAINT_REQUIRE_GPU=true
USER 10001:10001

FROM onnx-base AS onnx
COPY --from=onnx-packages /opt/venv /opt/venv
COPY --from=http-files /app/ ./
USER 10001:10001
