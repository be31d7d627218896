#!/usr/bin/env bash
# The suite of a runtime over all that there are: runtime-docker on a Docker Engine, the same on Podman's service, and runtime-oci. One table
# of results, test by runtime, is at the end; below it what a runtime does not have, in words.
#
#   tests/it/test_runtimes.sh              all three
#   tests/it/test_runtimes.sh RUNTIME…     only these of docker, podman, oci
#
# Podman's service is one of the test's own, on a socket and a storage in a folder of its own; the Docker Engine is the machine's. The runtimes
# go side by side. A point is one test on one runtime.
# timeout: 300
top=${BERTH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${BERTH_BUILD:-$top}
dir=$(mktemp -d /tmp/berth-runtimes-XXXXXX)
parts=("" _streams _images _networks)
service=

finish() {
  [ -z "$service" ] || { kill "$service"; wait "$service"; } 2>/dev/null
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount -l "$mounted"; done
  rm -rf "$dir"
}
trap finish EXIT

answers() { curl -sf --unix-socket "$1" http://localhost/_ping >/dev/null; }

# runc and cgroupfs: neither systemd nor the journal is needed. Plain HTTP to registries on the loopback, as Docker has it.
podman_start() {
  cat >"$dir/containers.conf" <<'CONF'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
  printf '[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n' >"$dir/registries.conf"
  CONTAINERS_CONF=$dir/containers.conf CONTAINERS_REGISTRIES_CONF=$dir/registries.conf \
    podman --root "$dir/root" --runroot "$dir/run" system service --time=0 "unix://$dir/podman.sock" >"$dir/podman.log" 2>&1 </dev/null &
  service=$!
  for _ in $(seq 1 300); do
    answers "$dir/podman.sock" && return 0
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
  done
  sed 's/^/# podman: /' "$dir/podman.log"
  return 1
}

# missing RUNTIME PROGRAMS: why it cannot be here; nothing where it can.
missing() {
  local program
  for program in $2; do
    command -v "$program" >/dev/null || { echo "$program is not installed"; return; }
  done
  [ "$(id -u)" = 0 ] || [ "$1" = docker ] || { echo "this is not root"; return; }
  [ "$1" != docker ] || answers /var/run/docker.sock || echo "no engine answers at /var/run/docker.sock"
}

# suite RUNTIME [VARIABLE=VALUE…]: all programs of the suite, one after the other.
suite() {
  local runtime=$1 part
  shift
  for part in "${parts[@]}"; do
    env "$@" top_builddir="$build" "$build/tests/plugins/test_runtime_docker$part" >"$dir/$runtime.out$part" 2>"$dir/$runtime.err$part" </dev/null
    echo "# ended $?" >>"$dir/$runtime.out$part"
  done
}

# results RUNTIME: a line "TEST|passed|failed|skipped|why" for each test that it ran, in order; a program that broke off has failed its last test.
results() {
  local part
  for part in "${parts[@]}"; do
    awk -v OFS='|' -v name="preparation$part" '
      function row() { print name, good + 0, bad + 0, skipped + 0, whys; good = bad = skipped = 0; whys = "" }
      /^# test /     { row(); name = $3 }
      /^ok .*# SKIP/ { skipped++; what = why = $0; sub(/.*# SKIP /, "", why); sub(/^ok [0-9]+ - /, "", what); sub(/ # SKIP.*/, "", what)
                       whys = whys (whys == "" ? "" : "; ") (what == name ? "" : what ": ") why; next }
      /^ok /         { good++ }
      /^not ok /     { bad++; failed = 1 }
      /^1\.\.0 # SKIP / { skipped++; whys = $0; sub(/.*# SKIP /, "", whys); planned = 1 }
      /^1\.\.[1-9]/  { planned = 1 }
      /^# ended /    { code = $3 }
      END            { if (!failed && (!planned || code)) bad = 1; row() }
    ' "$dir/$1.out$part"
  done
}

runtimes=() n=0 bad=0
for runtime in "${@:-docker podman oci}"; do
  # shellcheck disable=SC2206 # the default is three words
  runtimes+=($runtime)
done
for runtime in "${runtimes[@]}"; do
  case $runtime in
    docker) why=$(missing docker "docker busybox curl") ;;
    podman) why=$(missing podman "podman docker catatonit busybox curl") ;;
    oci) why=$(missing oci "crun busybox ip curl") ;;
    *) echo "usage: $0 [docker | podman | oci]…" >&2; exit 2 ;;
  esac
  if [ -n "$why" ]; then
    echo "$why" >"$dir/$runtime.not"
  elif [ "$runtime" = podman ] && ! podman_start; then
    n=$((n + 1)) bad=1
    echo "not ok $n - podman: its service answers"
    echo "its service did not start" >"$dir/podman.not"
  fi
done
declare -A began=()
for runtime in "${runtimes[@]}"; do
  [ ! -e "$dir/$runtime.not" ] || continue
  case $runtime in
    docker) suite docker & ;;
    podman) suite podman "BERTH_TEST_ENGINE=$dir/podman.sock" & ;;
    oci) suite oci BERTH_TEST_RUNTIME=oci & ;;
  esac
  began[$runtime]=$!
done
for runtime in "${!began[@]}"; do
  wait "${began[$runtime]}"
done

# Rows of the table: all tests that any of the runtimes told of.
for runtime in "${runtimes[@]}"; do
  [ -e "$dir/$runtime.not" ] || results "$runtime" >"$dir/$runtime.rows"
done
cat "$dir"/*.rows 2>/dev/null | awk -F'|' '!seen[$1]++ { print $1 }' >"$dir/tests"
: >"$dir/whys"
{
  printf '%-26s' test
  printf ' %-24s' "${runtimes[@]}"
  echo
} >"$dir/table"
while read -r test; do
  line=$(printf '%-26s' "$test")
  for runtime in "${runtimes[@]}"; do
    n=$((n + 1))
    if [ -e "$dir/$runtime.not" ]; then
      why=$(cat "$dir/$runtime.not")
      cell="skipped" good=0 failed=0 skipped=1
    elif ! row=$(grep -m1 "^$test|" "$dir/$runtime.rows"); then
      cell="did not run" good=0 failed=1 skipped=0 why="it did not run"
    else
      IFS='|' read -r _ good failed skipped why <<<"$row"
      cell="$good passed"
      [ "$skipped" -eq 0 ] || cell="$cell, $skipped skipped"
      [ "$good" -ne 0 ] || cell="skipped"
      [ "$failed" -eq 0 ] || cell="FAILED: $failed of $((good + failed))"
    fi
    line+=$(printf ' %-24s' "$cell")
    if [ "$failed" -gt 0 ]; then
      bad=1
      echo "not ok $n - $runtime: $test"
    elif [ "$good" -eq 0 ] && [ "$skipped" -gt 0 ]; then
      echo "ok $n - $runtime: $test # SKIP $why"
    else
      echo "ok $n - $runtime: $test ($good)"
    fi
    [ "$skipped" -eq 0 ] || printf '%s, %s: %s\n' "$runtime" "$test" "$why" >>"$dir/whys"
  done
  echo "$line" >>"$dir/table"
done <"$dir/tests"
if [ $bad -ne 0 ]; then
  grep -A4 '^not ok' "$dir"/*.out* | sed "s,^$dir/,# ,"
  tail -n 30 "$dir"/*.err* | sed "s,^,# ,"
fi
echo "#"
sed 's/^/# /; s/ *$//' "$dir/table"
echo "#"
echo "# Skipped:"
sed 's/^/# /' "$dir/whys"
echo "1..$n"
exit $bad
