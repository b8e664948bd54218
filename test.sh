#!/usr/bin/env bash
# The README's test command: every test of the workspace. Installs what is missing.
set -euo pipefail
cd "$(dirname "$0")"
command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
cargo xtask services
exec cargo nextest run --workspace --locked
