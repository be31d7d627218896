# Shell functions that bring a machine into the state that a script needs: packages, and a Docker Engine that answers.
# Sourced by config/quickstart and tests/run, both bash with "set -euo pipefail". Prints nothing but errors.

# machine_packages FILE USE… : names of the packages of config/packages for these uses that are not installed.
machine_packages() {
  local file=$1 name
  shift
  for name in $(awk -v uses=" $* " '!/^#/ && index(uses, " " $1 " ") { $1 = ""; print }' "$file"); do
    dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || echo "$name"
  done
}

# machine_install LOG PACKAGE… : installs with apt. Without systemd no service is started by an installation: who needs
# one starts it, and so can stop it again.
machine_install() {
  local log=$1 policy=/usr/sbin/policy-rc.d ours=no rc=0
  shift
  [ "$(id -u)" = 0 ] || { echo "not root, so cannot install: apt-get install $*" >&2; return 1; }
  if [ ! -d /run/systemd/system ] && [ ! -e $policy ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null ||
      { apt-get update </dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null; }
  } >>"$log" 2>&1 || rc=$?
  [ $ours = no ] || rm -f $policy
  return $rc
}

# engine_answers: is there a Docker Engine at the usual place?
engine_answers() {
  timeout 10 docker version >/dev/null 2>&1
}

# engine_start DIR: starts dockerd with its data under DIR and its log in DIR/dockerd.log; its process id is in
# DIR/dockerd.pid for engine_stop. Returns when it answers (at most a minute).
engine_start() {
  local dir=$1 tries
  mkdir -p "$dir"
  engine_mounts
  setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
    >"$dir/dockerd.log" 2>&1 </dev/null &
  for tries in $(seq 1 300); do
    engine_answers && return 0
    kill -0 $! 2>/dev/null || break
    sleep 0.2
  done
  echo "dockerd did not come up; the end of $dir/dockerd.log:" >&2
  tail -5 "$dir/dockerd.log" >&2
  return 1
}

# A bare machine (a container, a minimal init) may have no cgroup mount, without which the engine refuses to start.
engine_mounts() {
  mountpoint -q /sys/fs/cgroup 2>/dev/null && return 0
  mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
}

# engine_stop DIR: ends the dockerd that engine_start started and removes all that it left. Harmless where there is none.
engine_stop() {
  local dir=$1 pid tries
  if [ -s "$dir/dockerd.pid" ]; then
    pid=$(cat "$dir/dockerd.pid")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
      kill "$pid"
      for tries in $(seq 1 150); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
      done
    fi
  fi
  [ -d "$dir" ] || return 0
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do
    umount -l "$mounted" 2>/dev/null || true
  done
  rm -rf "$dir"
  # The engine leaves its default bridge behind; with no engine it belongs to nobody.
  engine_answers || ip link delete docker0 2>/dev/null || true
}
