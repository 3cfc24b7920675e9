# The image of the cluster configurations in this folder, on CUDA:
#
#   docker build -f configs/cluster/cuda.Dockerfile -t innovator-rl:cuda .
#
# The Dockerfile at the root of the checkout is the CPU image. This one is not built in continuous integration.
FROM nvidia/cuda:12.8.1-devel-ubuntu22.04
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
       ca-certificates g++ git libseccomp2 make python3.11 python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 innovator \
    && install --directory --owner=innovator --group=innovator /app
USER 10001
WORKDIR /app

COPY --chown=innovator:innovator pyproject.toml setup.py MANIFEST.in README.md LICENSE NOTICE ./
COPY --chown=innovator:innovator innovator_rl/ innovator_rl/
COPY --chown=innovator:innovator rewards/ rewards/
COPY --chown=innovator:innovator upcycle/ upcycle/
RUN python3.11 -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --editable ".[gpu,eval,data,paper]"
COPY --chown=innovator:innovator configs/ configs/
COPY --chown=innovator:innovator datasets/ datasets/

ENV PATH="/app/.venv/bin:${PATH}"
CMD ["innovator", "--help"]
