# nats-server 2.10 from Debian's packages, for machines that reach no registry. It goes by the official
# image's name, so it takes that image's arguments.
FROM debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends nats-server \
 && apt-get clean && rm -rf /var/lib/apt/lists/*

LABEL ensemble.packages=debian
EXPOSE 4222 8222
ENTRYPOINT ["/usr/sbin/nats-server"]
