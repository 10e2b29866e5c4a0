# The gateway in a virtual environment of its own: made here, with a package index and all that building takes ...
FROM python:3.13-slim AS build

# A compiler, for what every byte passes through (setup.py); the base image says which version that is.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY setup.cfg setup.py pyproject.toml README.md LICENSE ./
COPY aibrix_twisted aibrix_twisted
COPY twisted twisted

# The last line writes Twisted's list of plugins, which the user below could not.
RUN AIBRIX_COMPILE=always python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/aibrix-gateway \
    && python -m pip --python /opt/aibrix-gateway/bin/python install --no-cache-dir --compile /wheels/*.whl \
    && /opt/aibrix-gateway/bin/twistd --help >/dev/null

# ... and taken from there into an image with nothing else: no compiler, no index, no sources.
FROM python:3.13-slim

# The folder is for what is to outlive the container, on a volume; whatever user it is run as, that one can write there.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent gateway \
    && install --directory --mode 0777 /var/lib/aibrix-gateway

COPY --from=build /opt/aibrix-gateway /opt/aibrix-gateway

USER 10001:10001
WORKDIR /
EXPOSE 8080 9090

# SIGTERM drains, for as long as [timeouts] drain says: give the container that much (docker stop --timeout 130).
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/opt/aibrix-gateway/bin/python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]

ENTRYPOINT ["/opt/aibrix-gateway/bin/twistd", "-n", "--pidfile=", "aibrix-gateway"]

# What it does without being told: two demo engines.  Say --replica or --config instead.
CMD ["--admin", "tcp:9090", "--demo"]
