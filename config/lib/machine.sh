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

# process_lives PID: does it run? One that has ended but that nobody has waited for does not: where process 1 is no real
# init, as in a container, it stays in the list for ever.
process_lives() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ]
}

# process_runs NAME: does one of that name?
process_runs() {
  local pid
  for pid in $(pgrep -x "$1" || true); do
    process_lives "$pid" && return 0
  done
  return 1
}

# engine_answers: is there a Docker Engine at the usual place? One that runs may take its time under load.
engine_answers() {
  local tries
  for tries in 1 2 3; do
    timeout 20 docker version >/dev/null 2>&1 && return 0
    process_runs dockerd || return 1
  done
  return 1
}

# engine_start DIR: starts dockerd with its data under DIR and its log in DIR/dockerd.log. Returns when it answers (at most
# a minute). What the engine changes outside of DIR is noted there for engine_stop.
engine_start() {
  local dir=$1 tries
  if process_runs dockerd; then
    echo "a dockerd runs, but does not answer at the usual place; look at it before another is started" >&2
    return 1
  fi
  mkdir -p "$dir"
  engine_mounts "$dir"
  sysctl -n net.ipv4.ip_forward >"$dir/ip_forward" 2>/dev/null || true
  iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p' >"$dir/forward" || true
  find /etc/docker /opt/containerd /run/containerd -mindepth 1 2>/dev/null | sort >"$dir/before" || true
  setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
    >"$dir/dockerd.log" 2>&1 </dev/null &
  for tries in $(seq 1 300); do
    engine_answers && return 0
    process_lives $! || break
    sleep 0.2
  done
  echo "dockerd did not come up; the end of $dir/dockerd.log:" >&2
  tail -5 "$dir/dockerd.log" >&2
  return 1
}

# A bare machine (a minimal init) may have no cgroup mounts, without which the engine sets no limits: version 2, or where
# the kernel has given the controllers to version 1, one mount for each of them.
engine_mounts() {
  local name
  mountpoint -q /sys/fs/cgroup && return 0
  [ -d /sys/fs/cgroup ] || return 0
  touch "$1/cgroup-mounted"
  if ! awk '!/^#/ && $2 != 0 { found = 1 } END { exit !found }' /proc/cgroups; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for name in $(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups); do
    mkdir -p "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
  done
}

# engine_stop DIR: ends the dockerd that engine_start started and removes all that it left. Harmless where there is none.
engine_stop() {
  local dir=$1 pid tries
  [ -d "$dir" ] || return 0
  if [ -s "$dir/dockerd.pid" ]; then
    pid=$(cat "$dir/dockerd.pid")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
      kill "$pid"
      for tries in $(seq 1 150); do
        process_lives "$pid" || break
        sleep 0.2
      done
    fi
  fi
  process_runs dockerd || engine_traces "$dir"
  awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do
    umount -l "$mounted" 2>/dev/null || true
  done
  rm -rf "$dir"
}

# What dockerd leaves when it ends: its bridge, its packet filter rules, a key file, empty folders.
engine_traces() {
  local dir=$1 table path
  ip link delete docker0 2>/dev/null || true
  for table in filter nat; do
    iptables-save -t $table 2>/dev/null | grep -vE 'DOCKER|docker0|br-[0-9a-f]{12}' | iptables-restore -T $table 2>/dev/null || true
  done
  [ ! -s "$dir/forward" ] || iptables -P FORWARD "$(cat "$dir/forward")" 2>/dev/null || true
  [ ! -s "$dir/ip_forward" ] || sysctl -q -w net.ipv4.ip_forward="$(cat "$dir/ip_forward")" 2>/dev/null || true
  find /etc/docker /opt/containerd /run/containerd -mindepth 1 2>/dev/null | sort | comm -13 "$dir/before" - | sort -r |
    while read -r path; do
      rm -f "$path" 2>/dev/null || rmdir "$path" 2>/dev/null || true
    done
  rmdir /etc/docker /opt/containerd /run/containerd 2>/dev/null || true
  # A container of the host's network leaves a mounted namespace behind.
  awk '$2 ~ "^/run/docker/" { print $2 }' /proc/mounts | sort -r | while read -r path; do
    umount -l "$path" 2>/dev/null || true
  done
  rm -rf /run/docker.sock /run/docker || true
  [ ! -e "$dir/cgroup-mounted" ] || umount -R /sys/fs/cgroup 2>/dev/null || true
}

# tree_copy TOP DIR: makes DIR/src the files of the tree at TOP: what git knows or would add; a tree without git whole.
# Unchanged files keep their times, so that a second build does little.
tree_copy() {
  local top=$1 dir=$2
  mkdir -p "$dir/src"
  tree_files "$top" | sort -z >"$dir/files.now"
  if [ -f "$dir/files" ]; then
    comm -z -23 "$dir/files" "$dir/files.now" | (cd "$dir/src" && xargs -0 -r rm -f)
  fi
  mv "$dir/files.now" "$dir/files"
  tar -C "$top" --null --files-from "$dir/files" -cf - | tar -C "$dir/src" --no-same-owner -xf -
}

tree_files() {
  if git -C "$1" -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
    git -C "$1" -c safe.directory='*' ls-files -z -co --exclude-standard | while IFS= read -r -d '' file; do
      if [ -e "$1/$file" ]; then
        printf '%s\0' "$file"
      fi
    done
  else
    (cd "$1" && find . \( -path ./build-tests -o -path ./build-fuzz \) -prune -o -type f -print0)
  fi
}

# tree_configured DIR OPTION… : runs autogen.sh and configure in DIR/src where they are due.
tree_configured() {
  local dir=$1/src
  shift
  cd "$dir" || return 1
  if [ ! -x configure ] || [ -n "$(find . -newer configure \( -name '*.am' -o -name '*.ac' -o -name '*.m4' \
    -o -name autogen.sh \) ! -name aclocal.m4 ! -path './config/m4/l*' 2>/dev/null)" ]; then
    ./autogen.sh || return 1
  fi
  { [ -f Makefile ] && [ Makefile -nt configure ]; } || ./configure "$@"
}
