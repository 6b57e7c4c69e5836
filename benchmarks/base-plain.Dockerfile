# What docs/benchmarks.md compares the base image with: the same contents, one step after the other, without cache
# mounts, separate stages or COPY --link. Written with the default exporter.
FROM debian:trixie-slim
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG BUILDARCH TARGETARCH
COPY dockerfiles/versions.json dockerfiles/requirements /build/
COPY --chmod=0755 dockerfiles/build/apt dockerfiles/build/python dockerfiles/build/node dockerfiles/build /usr/local/bin/
COPY dockerfiles/build/apt /apt
COPY dockerfiles/base/build/toolsets /toolsets
COPY dockerfiles/base/packages/*/* /packages/
COPY dockerfiles/base/rootfs/databases/etc/postgresql-common/createcluster.d /createcluster.d
COPY dockerfiles/base /build/base
RUN --mount=type=secret,id=ca \
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; \
    chmod 0755 /usr/sbin/policy-rc.d; \
    /toolsets/install-toolsets always=true; \
    /build/base/build/databases/install-databases true; \
    /toolsets/install-toolsets cloud=true desktop=true dotnet=true go=true graphics=true java=true python=true r=true \
        rust=true swift=true; \
    rm -rf /var/cache/apt/*; \
    useradd --create-home --uid 1000 --user-group --groups sudo --shell /usr/bin/zsh carbon
WORKDIR /build/npm
RUN --mount=type=secret,id=ca \
    python3 -m venv --without-pip /opt/carbon/venv; \
    python3 -m venv /opt/installer; \
    with-ca /opt/installer/bin/pip install --no-cache-dir --quiet --require-hashes --requirement /build/installer.lock; \
    install --target-directory=/usr/local/bin /opt/installer/bin/uv /opt/installer/bin/uvx; \
    install-node /build/node.lock; \
    ln -sfn /build/base/node /locked; \
    /build/base/build/assemble-node /usr/local; \
    for program in mongosh claude; do \
        ln -sfn "/build/base/$program" /locked; \
        /build/base/build/install-npm-program "/opt/$program"; \
    done
RUN --mount=type=secret,id=ca \
    for program in azure-cli database-clients; do \
        /build/base/build/install-python-program "/build/base/requirements/$program.lock" "/opt/$program"; \
    done; \
    mv /out/opt/* /opt/; \
    PYTHONPATH=/usr/local/bin with-ca /build/base/build/fetch-dotnet /build/versions.json "$TARGETARCH" /; \
    copy-rootfs /build/base/rootfs /out desktop=true databases=true cloud=true; \
    cp -r /out/. /; \
    write-image-json base /etc/carbon desktop=true databases=true cloud=true
