FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEALTH_PORT=8080 \
    MODULES_DIR=/modules

# git is for plugins that a configuration names by their repository.
# What only tells when something was installed is removed: it would differ in each build.
RUN apt-get update && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache

WORKDIR /app
COPY requirements.txt .
# Every file with its hash, and nothing that is not listed. The root file system is read-only at run
# time, so bytecode is written here, in the form that is the same in each build.
ARG COMPILE="python -m compileall -qq -j 0 --invalidation-mode unchecked-hash"
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements.txt \
    && ($COMPILE /usr/local/lib || true)

# Libraries of single plugins: docker build --build-arg EXTRAS=openai,s3 .
ARG EXTRAS=
COPY requirements/extras requirements/extras
RUN for extra in $(echo "$EXTRAS" | tr ',' ' '); do \
        pip install --no-cache-dir --no-compile --no-deps --require-hashes \
            -r "requirements/extras/$extra.txt" || exit 1; \
    done; $COMPILE /usr/local/lib || true

COPY LICENSE ./
COPY alembic.ini entrypoint.py ./
COPY app app
COPY core core
COPY actions actions
COPY events events
COPY http_api http_api
COPY schemas schemas
COPY pipeline pipeline
COPY links links
COPY storage storage
COPY tracers tracers
COPY lib lib
COPY flowlang flowlang
COPY alembic alembic

RUN groupadd --system --gid 10001 patchcord \
    && useradd --system --create-home --uid 10001 --gid 10001 patchcord \
    && mkdir /modules /data && chown patchcord /modules /data \
    && $COMPILE /app
USER patchcord
VOLUME /modules

EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/live', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["python", "entrypoint.py"]
