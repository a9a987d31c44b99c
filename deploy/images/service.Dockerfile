# One program and only what it needs to run. SERVICE is the binary's name: order, inventory, payment,
# shipping, partners.
#
#   --target local   the binary is in the context: what `cargo build` made on this Linux machine
#   --target built   the context is the repository: for machines that are not Linux, or whose C library is newer
#
# `local` stands before `build` because the classic builder builds every stage up to its target.
FROM debian:trixie-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && install -d -o 10001 -g 10001 /data
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/service"]

FROM base AS local
ARG SERVICE
COPY ${SERVICE} /usr/local/bin/service

# No SERVICE in here: one build, whose layer all five images share.
FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin order --bin inventory --bin payment --bin shipping --bin partners

FROM base AS built
ARG SERVICE
COPY --from=build /src/target/release/${SERVICE} /usr/local/bin/service
