# The binary, its defaults and its catalogue. The database is another container's: set DATABASE_URL. (Without it Doitong
# looks for PostgreSQL's server programs, which are not in this image.)

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin doitong && cp target/release/doitong /doitong

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/doitong --create-home doitong
COPY --from=build /doitong /usr/local/bin/doitong
# What is compiled in, to read and to start from: DOITONG__CATALOG__FOLDER=/etc/doitong/catalog puts a changed one in force.
COPY config /etc/doitong
USER doitong
WORKDIR /var/lib/doitong
# Media, unless they are in a bucket, and files on their way in. Processes on several machines share it.
VOLUME /var/lib/doitong
ENV DOITONG_DATA_DIR=/var/lib/doitong DOITONG_LISTEN=0.0.0.0:8080 DOITONG__WORKER__LISTEN=0.0.0.0:8080 \
    DOITONG__LOG__FORMAT=json
EXPOSE 8080
# A worker serves no more than this and its metrics.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["doitong"]
CMD ["serve"]
