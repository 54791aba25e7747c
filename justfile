# What CI runs.
check:
    .ci/run

# The tests, or those whose names hold WORDS.
test *WORDS:
    cargo test --locked {{ WORDS }}

# The gateway with its private database under .doitong/.
run *ARGUMENTS:
    cargo run --release --locked -- {{ ARGUMENTS }}

# Write schema.graphql after a change of the API.
schema:
    cargo run --quiet -- schema > schema.graphql

# A server to make a scratch database on: that of DATABASE_URL, else the private one while `just run` runs.
server := env("DATABASE_URL", "postgresql:///doitong?user=doitong&host=" + justfile_directory() + "/.doitong/postgres")
scratch := server + (if server =~ '\?' { "&" } else { "?" }) + "dbname=doitong_prepare"

# Write .sqlx after a change of a query or a migration: sqlx's macros do so when they compile against a database.
prepare:
    psql '{{ server }}' -qc 'drop database if exists doitong_prepare' -c 'create database doitong_prepare'
    # The table of the migrator, which a query reads.
    psql '{{ scratch }}' -qc 'create table _sqlx_migrations (success boolean not null)'
    cat migrations/*.sql | psql '{{ scratch }}' -q -v ON_ERROR_STOP=1 --single-transaction -o /dev/null
    rm -rf .sqlx && mkdir .sqlx && touch src/lib.rs
    SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" DATABASE_URL='{{ scratch }}' cargo check --all-targets
    psql '{{ server }}' -qc 'drop database doitong_prepare'
