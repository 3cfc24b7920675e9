# The CPU installation of Innovator RL: train, score, upcycle and inspect without an accelerator.
#
#   docker build -t innovator-rl .
#   docker run --rm -it -v "$PWD/runs:/app/runs" innovator-rl innovator train configs/train/demo.yaml
#
# On a CUDA machine, build with a CUDA base image and verl's own GPU pins (this variant is not built in CI):
#
#   docker build --build-arg BASE=IMAGE --build-arg EXTRA=gpu -t innovator-rl:gpu .
#
# IMAGE must provide the CUDA toolkit and Python 3.11 as python3, with venv; NVIDIA's own images have another Python.
ARG BASE=python:3.11-slim
FROM ${BASE}
ARG EXTRA=cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# git: provenance of a run. g++: kernels that torch compiles. libseccomp2: the sandbox's system-call filter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git libseccomp2 make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 innovator \
    && install --directory --owner=innovator --group=innovator /app
USER 10001
WORKDIR /app

# Dependencies first, so that a changed source file does not install them again.
COPY --chown=innovator:innovator requirements/ requirements/
COPY --chown=innovator:innovator Makefile pyproject.toml package.json package-lock.json README.md LICENSE NOTICE ./
COPY --chown=innovator:innovator innovator_rl/ innovator_rl/
COPY --chown=innovator:innovator rewards/ rewards/
COPY --chown=innovator:innovator upcycle/ upcycle/
RUN if [ "${EXTRA}" = cpu ]; then make setup; \
    else python3 -m venv .venv && .venv/bin/python -m pip install --no-cache-dir --editable ".[${EXTRA}]"; fi
COPY --chown=innovator:innovator . .

ENV PATH="/app/.venv/bin:${PATH}"
EXPOSE 8000
CMD ["innovator", "--help"]
