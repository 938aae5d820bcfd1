# The worker's image. Nothing here needs BuildKit; both bases are arguments (compose.yaml and tests/image/test pass them on).
ARG BUILD_IMAGE=rust:1.95-alpine3.23
ARG RUN_IMAGE=postgres:18-alpine3.23

FROM ${BUILD_IMAGE} AS build
RUN apk add --no-cache build-base linux-headers perl
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY bench/Cargo.toml bench/
COPY testbed/Cargo.toml testbed/
# What the worker depends on, in a layer that stays until Cargo.lock changes: compiled for a program that does nothing.
# OpenSSL is compiled in: the executable is static and does not depend on the base's libssl. Measured on two cores:
# 283 s and 18.1 MB instead of 173 s and 12.5 MB. The AWS SDK brings ring, not aws-lc, which would want cmake as well.
RUN mkdir src bench/src testbed/src && echo 'fn main() {}' | tee src/main.rs >bench/src/main.rs && touch testbed/src/lib.rs && \
	cargo install --locked --path . --features vendored-openssl --root /tmp/nothing
COPY src src
# Cargo goes by the time of a file, and these may be older than the program that does nothing.
RUN touch src/main.rs && cargo install --locked --path . --features vendored-openssl --root /usr/local

FROM ${RUN_IMAGE}
LABEL org.opencontainers.image.title="schemaferry" \
	org.opencontainers.image.description="Moves one PostgreSQL schema from one server to another as one atomic, retryable unit" \
	org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The base brings the newest client programs; these serve older servers (16 for targets before 17).
RUN apk add --no-cache postgresql16-client postgresql17-client
COPY --from=build /usr/local/bin/schemaferry /usr/local/bin/
COPY entrypoint /usr/local/bin/schemaferry-entrypoint
# The authorities that verify-full checks RDS and Aurora against: a file beside this one, or the address of their bundle
# (deploy/push gives it). Those of no server unless said.
ARG RDS_AUTHORITIES=deploy/no-authorities.pem
ADD ${RDS_AUTHORITIES} /etc/ssl/rds.pem
RUN chmod 0444 /etc/ssl/rds.pem
RUN install -d -o postgres -g postgres -m 0700 /run/schemaferry
ENV RUN_DIR=/run/schemaferry
USER postgres
# The base asks for SIGINT, which PostgreSQL takes for a fast shutdown; ECS and Kubernetes send SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["schemaferry-entrypoint"]
CMD ["load"]
RUN schemaferry --version && pg_dump --version
