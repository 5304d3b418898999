# syntax=docker/dockerfile:1
# The images of "make images" for those who have a container engine: the same program
# lays out the files, a test compares the rest. What make images writes can be
# repeated to the byte, which an engine's build can not.
#
#   docker build -t hubd .                    the last stage
#   docker build --target gwd -t gwd .
#   docker build --target leafd -t leafd .
#   docker buildx build --platform linux/amd64,linux/arm64 \
#     --build-arg VERSION=0.1.0 --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .

FROM --platform=$BUILDPLATFORM golang:1.26 AS source
WORKDIR /src
COPY go.mod go.sum ./
COPY scripts/pack/go.mod scripts/pack/go.sum scripts/pack/
RUN go mod download && go -C scripts/pack mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=0.1.0-dev COMMIT= SOURCE_DATE_EPOCH=0

FROM source AS build-gwd
RUN make rootfs DAEMON=gwd PLATFORM=$TARGETOS/$TARGETARCH ROOTFS=/image VERSION=$VERSION COMMIT=$COMMIT

FROM source AS build-leafd
RUN make rootfs DAEMON=leafd PLATFORM=$TARGETOS/$TARGETARCH ROOTFS=/image VERSION=$VERSION COMMIT=$COMMIT

FROM source AS build-hubd
RUN make rootfs DAEMON=hubd PLATFORM=$TARGETOS/$TARGETARCH ROOTFS=/image VERSION=$VERSION COMMIT=$COMMIT

FROM scratch AS base
ARG VERSION=0.1.0-dev COMMIT=
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$COMMIT \
      org.opencontainers.image.source=https://github.com/banyanmq/banyan \
      org.opencontainers.image.documentation=https://github.com/banyanmq/banyan/blob/main/docs/IMAGES.md \
      org.opencontainers.image.licenses=Apache-2.0
WORKDIR /
USER 65532:65532

FROM base AS gwd
COPY --from=build-gwd /image/root/ /
COPY --from=build-gwd --chown=65532:65532 /image/owned/ /
LABEL org.opencontainers.image.title=gwd \
      org.opencontainers.image.description="The border of a Banyan region: gateways to other regions"
EXPOSE 6222 7222 8222
ENTRYPOINT ["/usr/local/bin/gwd"]
CMD ["--config", "/etc/gwd/gwd.yaml"]

FROM base AS leafd
COPY --from=build-leafd /image/root/ /
COPY --from=build-leafd --chown=65532:65532 /image/owned/ /
LABEL org.opencontainers.image.title=leafd \
      org.opencontainers.image.description="The edge node of Banyan: local clients, and a link to a hub"
EXPOSE 4222 8222
ENTRYPOINT ["/usr/local/bin/leafd"]
CMD ["--config", "nats-server.conf"]

FROM base AS hubd
COPY --from=build-hubd /image/root/ /
COPY --from=build-hubd --chown=65532:65532 /image/owned/ /
LABEL org.opencontainers.image.title=hubd \
      org.opencontainers.image.description="The cluster core of a Banyan region: clients, routes and leaf links"
EXPOSE 4222 6222 8222
ENTRYPOINT ["/usr/local/bin/hubd"]
CMD ["--config", "nats-server.conf"]
