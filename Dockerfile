# The service and its commands. Built in two stages, so that the image holds the installed program and nothing to build with.
ARG PYTHON_IMAGE=python:3.13.16-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv /opt/media-gateway
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN /opt/media-gateway/bin/pip install --only-binary :all: --constraint constraints.txt '.[openai,vertex]'

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 media-gateway \
    && useradd --uid 10001 --gid 10001 --home-dir /srv/media-gateway --create-home --shell /usr/sbin/nologin media-gateway \
    && install --directory --owner 10001 --group 10001 --mode 0750 /srv/media-gateway/data \
    && install --directory --owner 10001 --group 10001 --mode 0755 /run/scrape-key
COPY --from=build /opt/media-gateway /opt/media-gateway
COPY deploy/prepare.sh deploy/healthy.py /opt/media-gateway/deploy/
ENV PATH=/opt/media-gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /srv/media-gateway
# Keys, backups and the memory store lie in data/, relative to this folder.
VOLUME /srv/media-gateway/data
EXPOSE 8080
# Ready means that it can answer searches; Docker shows the state, and what depends on it waits for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "/opt/media-gateway/deploy/healthy.py"]
ENTRYPOINT ["media-gateway"]
CMD ["serve"]
