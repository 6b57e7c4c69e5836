# What docs/benchmarks.md compares the compute image with: the same Python packages by one `pip install`, from the
# same locks, without a cache mount or separate stages. Written with the default exporter.
ARG BASE_IMAGE=docker.io/carbon/base:benchmark
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
COPY dockerfiles/build/apt/with-ca /usr/local/bin/
COPY dockerfiles/compute/requirements /requirements
WORKDIR /requirements
RUN --mount=type=secret,id=ca \
    python3 -m venv /opt/carbon/venv \
    && with-ca /opt/carbon/venv/bin/pip install --no-cache-dir --require-hashes --requirement core.lock \
        --requirement torch.lock --requirement torch-cuda.lock --requirement tensorflow.lock \
        --requirement llm.lock --requirement llama-cpp.lock --requirement spark.lock \
        --requirement notebooks.lock --requirement apps.lock
