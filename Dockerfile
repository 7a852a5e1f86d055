# Slim, non-root, dependency layer first. Debian's glibc: the locked wheels do not fit musl.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    HTTP_HOST=0.0.0.0 \
    DATA_DIR=/data

RUN useradd --system --uid 10001 --no-create-home keel \
    && mkdir /data && chown keel:keel /data

WORKDIR /app

# Changes seldom, costs most: everything that runs, by hash, wheels only.
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.lock

COPY bot ./bot
COPY config ./config
COPY strategies ./strategies
COPY main.py health_server.py setup_database.py ./
COPY --chmod=755 docker-entrypoint ./
RUN python -m compileall -q bot config strategies main.py health_server.py setup_database.py

USER keel
VOLUME /data
EXPOSE 8000

# /live answers without a token and does no slow work.
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('HTTP_PORT', '8000') + '/live', timeout=9)"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["./docker-entrypoint"]
CMD ["run"]
