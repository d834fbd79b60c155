# The job's image, for amd64 and arm64. Build arguments:
#
#   BASE      a Debian-like image with Python 3.11 and its venv module
#   TORCH     cuda: torch from the package index as it is; cpu: its much smaller +cpu build
#   VERSION, REVISION   for the labels
#
# pip looks where its own configuration says. An index without credentials may be given as build
# arguments (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, PIP_TRUSTED_HOST, PIP_CERT), any other
# as a secret, which leaves no trace in the image: --secret id=pip,src=pip.conf. TORCH=cpu
# needs an index, or a folder of wheels, that has the +cpu builds.
#
#   docker run --read-only --volume /scratch --env-file settings.env IMAGE
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS libraries
# pip stays outside the environment that it fills
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/venv
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_TRUSTED_HOST PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
ARG TORCH=cuda
COPY requirements.lock /src/
# hashes instead of times in the bytecode: it stays good however the layers' times are rewritten; a
# file that does not compile is one that a library keeps for a newer Python
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    case "${TORCH}" in \
        cuda) build= ;; \
        cpu)  build=+cpu ;; \
        *)    echo "TORCH is cuda or cpu, not ${TORCH}" >&2; exit 64 ;; \
    esac \
    && sed "s/^torch==.*/&${build}/" /src/requirements.lock > /src/requirements.txt \
    && /opt/tools/bin/pip --python /opt/venv/bin/python install \
        --no-compile --only-binary :all: -r /src/requirements.txt \
    && { /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib || true; }

# the job in a layer of its own: a change to it leaves the libraries' layer as it is
FROM libraries AS job
COPY pyproject.toml README.md LICENSE /src/
COPY job /src/job
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install \
        --no-compile --no-index --no-deps --no-build-isolation --no-warn-script-location --root /job /src \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /job

FROM ${BASE}
# what the base brings for installing packages; the job's own environment has none of it
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/wheel \
        /usr/local/lib/python3*/site-packages/pip* \
        /usr/local/lib/python3*/site-packages/setuptools* \
        /usr/local/lib/python3*/site-packages/wheel* \
    && mkdir -m 1777 /scratch
COPY --from=libraries /opt/venv /opt/venv
COPY --from=job /job /

# everything that is written goes below /scratch, the one folder that must be writable; USER is a name
# for libraries that ask for one, since the number has none
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    USER=finetune \
    HOME=/scratch \
    TMPDIR=/scratch \
    XDG_CACHE_HOME=/scratch/cache \
    XDG_CONFIG_HOME=/scratch/config \
    HF_HOME=/scratch/cache/huggingface \
    HF_METRICS_CACHE=/scratch/cache/metrics \
    MPLCONFIGDIR=/scratch/cache/matplotlib \
    TORCH_HOME=/scratch/cache/torch \
    TORCHINDUCTOR_CACHE_DIR=/scratch/cache/inductor \
    TRITON_CACHE_DIR=/scratch/cache/triton \
    CUDA_CACHE_PATH=/scratch/cache/cuda \
    FINETUNE_RUNTIME__SCRATCH=/scratch
WORKDIR /scratch
USER 65532:65532
ENTRYPOINT ["finetune"]
CMD ["run"]

# last, since they change with every commit
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="finetune-job" \
      org.opencontainers.image.description="A containerized batch job that fine-tunes Hugging Face models on data in object storage." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
