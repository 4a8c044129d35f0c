# Shell functions shared by tests/run and bench/run: install what a fresh Debian machine lacks, configure, build.
# Sourced by bash with `set -euo pipefail` in force, from the top folder of the tree, with acre_name set to the name
# that goes before each message.

say() { printf '%s: %s\n' "$acre_name" "$*"; }

fail() {
  printf '%s: error: %s\n' "$acre_name" "$*" >&2
  exit 1
}

# Compilers and libraries; then the programs that the tests and the benchmark run on the heap.
acre_packages=(
  build-essential cmake ninja-build pkg-config binutils clang libclang-rt-dev
  libgtest-dev libgmock-dev libbenchmark-dev libjemalloc2 libjemalloc-dev libmimalloc2.0
  libgc-dev libgmp-dev libedit-dev
  python3 python3-matplotlib lua5.4 perl ruby redis-server redis-tools git valgrind util-linux procps
)

acre_is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The package with CPython's own tests carries the version in its name; it is known only after `apt-get update`.
acre_testsuite_package() {
  apt-cache search --names-only '^libpython3(\.[0-9]+)?-testsuite$' 2>/dev/null | awk '{print $1}' | sort -V | tail -n 1
}

acre_has_testsuite() {
  [ -n "$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libpython3*-testsuite' 2>/dev/null | grep '^installed ')" ]
}

acre_as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

acre_apt() {
  acre_as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

# Debian starts a service when its package is installed. Nobody asked for a redis server on this machine: a policy
# forbids starts while we install (unless the machine has a policy already), and the new unit is switched off.
acre_policy=/usr/sbin/policy-rc.d

acre_forbid_services() {
  [ -e "$acre_policy" ] && return
  trap acre_allow_services EXIT
  printf '#!/bin/sh\n# Written by acre, for the time of an installation.\nexit 101\n' |
    acre_as_root tee "$acre_policy" >/dev/null
  acre_as_root chmod 755 "$acre_policy"
}

acre_allow_services() {
  if grep -q 'Written by acre' "$acre_policy" 2>/dev/null; then acre_as_root rm -f "$acre_policy"; fi
}

acre_disable_redis() {
  if command -v systemctl >/dev/null; then
    acre_as_root systemctl disable --now redis-server.service >/dev/null 2>&1 || true
  fi
  if command -v update-rc.d >/dev/null; then
    acre_as_root update-rc.d redis-server disable >/dev/null 2>&1 || true
  fi
}

# Installs what is missing, and nothing else; without root as long as nothing is.
acre_install() {
  command -v dpkg-query >/dev/null || fail "this is no Debian system (no dpkg-query); needed are the likes of: ${acre_packages[*]}"
  local missing=() package testsuite had_redis=no
  for package in "${acre_packages[@]}"; do
    acre_is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ] && acre_has_testsuite; then
    say "every package needed is installed"
    return
  fi
  acre_has_testsuite || missing+=("libpython3.X-testsuite")
  say "installing from Debian: ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    fail "installing needs root: run as root, install sudo, or install these packages by hand: ${missing[*]}"
  acre_apt update || fail "'apt-get update' failed; is there a network?"
  if ! acre_has_testsuite; then
    unset 'missing[-1]'
    testsuite="$(acre_testsuite_package)"
    [ -n "$testsuite" ] || fail "no package libpython3.X-testsuite is known to apt"
    missing+=("$testsuite")
  fi
  if acre_is_installed redis-server; then had_redis=yes; fi
  acre_forbid_services
  acre_apt install --no-install-recommends "${missing[@]}" || fail "apt-get could not install: ${missing[*]}"
  acre_allow_services
  [ "$had_redis" = yes ] || acre_disable_redis
}

acre_jobs="$(nproc)"

# acre_configure PRESET: with Ninja if there is one, unless the build folder was made with something else.
acre_configure() {
  # Precompiled headers: a third less work. Builds by hand, without them, show whether a test includes what it uses.
  local options=(-DACRE_WERROR=OFF -DACRE_TEST_PCH=ON)
  [ "${CI:-}" != true ] || options=(-DACRE_WERROR=ON -DACRE_TEST_PCH=ON)
  if [ ! -e "build/$1/CMakeCache.txt" ] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
  say "configuring preset $1"
  cmake --preset "$1" "${options[@]}" --log-level=WARNING || fail "configuring preset $1 failed"
}

# acre_build PRESET [CMAKE-BUILD-OPTIONS...]
acre_build() {
  local preset="$1"
  shift
  say "building preset $preset with $acre_jobs jobs"
  cmake --build --preset "$preset" -j "$acre_jobs" "$@" || fail "building preset $preset failed"
}
