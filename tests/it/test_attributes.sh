#!/usr/bin/env bash
# Attributes of Compose, end to end: what the file says is what a container on a real engine has, seen from inside it or by the
# engine's own words. One app per theme. What the kernel of a small machine cannot do is looked up at the engine instead.
# Of its companions, test_rollouts.sh has the updates and test_registry.sh pull policies and builds.
# timeout: 300
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

work=$it_dir/work
mkdir -p "$work" && cd "$work" || exit 1
image=berth-$it/box:1
net=10.$((80 + $$ % 100)).$(($$ / 100 % 250))
port=$((20000 + $$ % 10000))
it_server
it_image "$image"

# Of an app in $app: the container of SERVICE[-N]; what docker inspect says; what a command in it prints.
container() { docker ps -aq --no-trunc --filter "label=berth.app=$app" --filter "label=berth.service=${1%%.*}" --filter "label=berth.slot=${2:-1}" | head -n 1; }
of() { docker inspect -f "$2" "$(container "$1")"; }
in_() {
  local service=$1
  shift
  docker exec "$(container "$service")" "$@" 2>&1
}
# spaces SERVICE KIND… : the namespaces of its container.
spaces() {
  local service=$1 kind
  shift
  for kind; do readlink "/proc/$(of "$service" '{{.State.Pid}}')/ns/$kind"; done
}

# ---------------------------------------------------------------- the process
process() {
app=$it-run
printf 'FROM_FILE=file\nOVERRIDDEN=file\n' >env1
printf 'RAW=$not "touched"\n' >env2
printf 'from.file=label\nover=file\n' >labels1
mkdir -p "$work/seccomp"
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, network_mode: none}
services:
  args:
    <<: *box
    entrypoint: [sh, -c, 'echo "\$\$0|\$\$*" >/tmp/args; exec sleep 1000']
    command: ["a b", c]
    pull_policy: never
    env_file:
      - env1
      - {path: env2, format: raw}
      - {path: absent, required: false}
    environment: {OVERRIDDEN: own, EMPTY: ""}
    label_file: labels1
    labels: {over: own, own.label: "1"}
    user: "12:34"
    group_add: ["56"]
    working_dir: /tmp
    hostname: named
    domainname: example.org
    container_name: $app-chosen
    stop_signal: SIGUSR1
    attach: false
    platform: linux/amd64
    runtime: runc
    logging: {driver: json-file, options: {max-size: 1m, max-file: "2"}}
  text:
    <<: *box
    entrypoint: /bin/sh -c
    command: '"exec sleep 1000"'
    tty: true
    stdin_open: true
    init: false
    stop_grace_period: 90s
    stop_signal: SIGKILL
    logging: {driver: none}
  dns:
    <<: *box
    network_mode: bridge
    command: sleep 1000
    dns: [10.9.8.7]
    dns_search: [corp.example]
    dns_opt: ["ndots:3"]
    extra_hosts: ["one=10.1.2.3", "six:fd00::1", "gate=host-gateway"]
YAML
succeeds "process: up" berth up
is "$(in_ args cat /tmp/args)" "a b|c" "entrypoint and command as lists"
is "$(docker exec "$(container args)" sh -c 'echo "$FROM_FILE,$OVERRIDDEN,${EMPTY-unset},$RAW"')" 'file,own,,$not "touched"' "env_file, its raw form, environment"
is "$(of args '{{index .Config.Labels "from.file"}} {{index .Config.Labels "over"}} {{index .Config.Labels "own.label"}}')" "label own 1" "label_file and labels"
is "$(in_ args id | sed 's/(.*//; s/ groups.*//') $(in_ args id -G)" "uid=12 gid=34 34 56" "user and group_add"
is "$(in_ args pwd) $(in_ args hostname) $(in_ args cat /proc/sys/kernel/domainname)" "/tmp named example.org" "working_dir, hostname, domainname"
is "$(docker inspect -f '{{index .Config.Labels "berth.service"}}' "$app-chosen")" args "container_name"
is "$(of args '{{.Config.StopSignal}} {{.Config.StopTimeout}} {{.HostConfig.Runtime}} {{.HostConfig.Init}} {{json .HostConfig.LogConfig}}')" \
  'SIGUSR1 1 runc true {"Type":"json-file","Config":{"max-file":"2","max-size":"1m"}}' "stop_signal, stop_grace_period, runtime, init, logging"
like "$(in_ args cat /proc/1/cmdline | tr '\0' ' ')" "docker-init" "init is the first process"
like "$(in_ text cat /proc/1/cmdline | tr '\0' ' ')" "^sleep 1000 " "without init, and commands as text"
is "$(of text '{{.Config.Tty}} {{.Config.OpenStdin}} {{.Config.StopTimeout}} {{.HostConfig.LogConfig.Type}}')" "true true 90 none" "tty, stdin_open, a long stop_grace_period"
is "$(in_ args ls /sys/class/net) $(of args '{{.HostConfig.NetworkMode}}')" "lo none" "network_mode none"
is "$(in_ dns cat /etc/resolv.conf | sort | tr '\n' ' ')" "nameserver 10.9.8.7 options ndots:3 search corp.example " "dns, dns_search, dns_opt"
is "$(of dns '{{.HostConfig.NetworkMode}}')" bridge "network_mode bridge"
like "$(in_ dns cat /etc/hosts)" "^10.1.2.3[[:space:]]+one$" "extra_hosts"
like "$(in_ dns cat /etc/hosts)" "^fd00::1[[:space:]]+six$" "extra_hosts with an IPv6 address"
like "$(in_ dns cat /etc/hosts)" "^[0-9.]+[[:space:]]+gate$" "extra_hosts: host-gateway"
cat >annotated.yaml <<YAML
name: $it-ann
services: {a: {image: "$image", command: sleep 100, annotations: {k: v}}}
YAML
if [ "$(docker version -f '{{.Server.APIVersion}}' | tr -d .)" -lt 143 ]; then
  fails "annotations are refused by an engine that has none" 1 berth up -f annotated.yaml
  like "$out" "annotations need an engine with API 1.43 .*; this one has 1\.[0-9]+" "with a sentence"
fi
berth down "$it-ann" >/dev/null 2>&1
begun=$SECONDS
succeeds "process: down" berth down "$app"
ok $((SECONDS - begun >= 20)) "each is stopped by its own signal, none after its grace period"
}

# ---------------------------------------------------------------- isolation and limits
isolation() {
app=$it-cage
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, network_mode: none, command: sleep 1000}
services:
  caps: {<<: *box, cap_drop: [ALL], cap_add: [NET_RAW, CAP_CHOWN], security_opt: ["no-new-privileges:true", "seccomp=unconfined"]}
  lock:
    <<: *box
    read_only: true
    tmpfs: ["/run:size=1m,mode=1777", /scratch]
    shm_size: 8m
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 333}
    sysctls: {net.ipv4.ip_default_ttl: 77}
    devices: ["/dev/fuse:/dev/melted:r"]
    device_cgroup_rules: ["c 1:3 mr"]
    oom_score_adj: 300
    cgroup_parent: /$it
  spaces: {<<: *box, ipc: host, pid: host, uts: host, userns_mode: host, cgroup: host}
  share: {<<: *box, ipc: shareable}
  with: {<<: *box, ipc: "service:share", pid: "service:share"}
  small:
    <<: *box
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    mem_swappiness: 10
    oom_kill_disable: true
    cpus: 0.5
    cpuset: "0"
    cpu_shares: 512
    pids_limit: 44
    blkio_config:
      weight: 300
      device_read_bps: [{path: /dev/loop0, rate: 1mb}]
      device_write_iops: [{path: /dev/loop0, rate: 70}]
  quota: {<<: *box, cpu_period: 50000, cpu_quota: 25000}
  deployed:
    <<: *box
    deploy:
      labels: {of.the: service}
      resources:
        limits: {cpus: "0.25", memory: 48m, pids: 33}
        reservations: {cpus: "0.1", memory: 16m}
YAML
succeeds "isolation: up" berth up
is "$(in_ caps sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)" 0000000000002001 "cap_drop and cap_add"
is "$(in_ caps sed -n 's/^NoNewPrivs:[[:space:]]*//p; s/^Seccomp:[[:space:]]*//p' /proc/self/status | tr '\n' ' ')" "1 0 " "security_opt"
like "$(in_ lock touch /x)" "Read-only file system" "read_only"
is "$(in_ lock sh -c "touch /scratch/x && stat -f -c '%T %b' /run && stat -c %a /run")" "$(printf 'tmpfs 256\n1777')" "tmpfs and its options"
is "$(in_ lock stat -f -c %b /dev/shm)" 2048 "shm_size"
is "$(in_ lock sh -c 'ulimit -Sn; ulimit -Hn; ulimit -u' | tr '\n' ' ')" "100 200 333 " "ulimits"
is "$(in_ lock cat /proc/sys/net/ipv4/ip_default_ttl)" 77 "sysctls"
is "$(in_ lock stat -c '%t,%T' /dev/melted) $(of lock '{{(index .HostConfig.Devices 0).CgroupPermissions}}')" "a,e5 r" "devices"
is "$(of lock '{{json .HostConfig.DeviceCgroupRules}}')" '["c 1:3 mr"]' "device_cgroup_rules"
is "$(in_ lock cat /proc/1/oom_score_adj)" 300 "oom_score_adj"
like "$(cat "/proc/$(of lock '{{.State.Pid}}')/cgroup")" ":/$it/" "cgroup_parent"
is "$(spaces spaces ipc uts pid)" "$(readlink "/proc/$$/ns/ipc" "/proc/$$/ns/uts" "/proc/$$/ns/pid")" "ipc, uts, pid: host"
is "$(of spaces '{{.HostConfig.UsernsMode}} {{.HostConfig.CgroupnsMode}}')" "host host" "userns_mode and cgroup"
is "$(spaces with ipc pid)" "$(spaces share ipc pid)" "ipc and pid of another service"
is "$(of small '{{with .HostConfig}}{{.Memory}} {{.MemoryReservation}} {{.MemorySwap}} {{.MemorySwappiness}} {{.OomKillDisable}} {{.NanoCpus}} {{.CpusetCpus}} {{.CpuShares}} {{.PidsLimit}}{{end}}')" \
  "67108864 33554432 134217728 10 true 500000000 0 512 44" "limits as old attributes"
like "$(in_ small cat /proc/self/status)" "Cpus_allowed_list:[[:space:]]0$" "cpuset"
is "$(of small '{{json .HostConfig.BlkioDeviceReadBps}}{{json .HostConfig.BlkioDeviceWriteIOps}}')" \
  '[{"Path":"/dev/loop0","Rate":1048576}][{"Path":"/dev/loop0","Rate":70}]' "blkio_config"
is "$(of quota '{{.HostConfig.CpuPeriod}} {{.HostConfig.CpuQuota}}')" "50000 25000" "cpu_period and cpu_quota"
is "$(of deployed '{{with .HostConfig}}{{.NanoCpus}} {{.Memory}} {{.PidsLimit}} {{.MemoryReservation}}{{end}}')" "250000000 50331648 33 16777216" "deploy.resources"
is "$(it_json berth config compose.yaml -- '.services.deployed.deploy.labels["of.the"]')" service "deploy.labels"
is "$(of deployed '{{index .Config.Labels "of.the"}}')" "" "are the service's, not its containers'"
if [ "$(of small '{{.HostConfig.BlkioWeight}}')" = 0 ]; then # this kernel weighs no block I/O, and the engine leaves it out
  like "$(berth events "$app")" "Block I/O weight" "what the engine leaves out is told"
else
  is "$(of small '{{.HostConfig.BlkioWeight}}')" 300 "blkio_config.weight"
fi
berth down "$app" >/dev/null
cat >odd.yaml <<YAML
name: $it-odd
services: {a: {image: "$image", command: sleep 100, restart: "no", storage_opt: {size: 1G}}}
YAML
app=$it-odd
# Of the instance: its error, or nothing once it runs.
odd() { berth ps "$app" --format json | jq -r '.[0] | if .state == "running" then "" else .error // "waits" end'; }
berth up --detach -f odd.yaml >/dev/null 2>&1
wait_for 20 eval '[ "$(odd)" != waits ]'
if [ -n "$(odd)" ]; then
  like "$(odd)" "storage-opt" "storage_opt reaches the engine, whose refusal is told"
else
  is "$(of a '{{json .HostConfig.StorageOpt}}')" '{"size":"1G"}' "storage_opt"
fi
sed -i 's/storage_opt: .*}}}/privileged: true}}/' odd.yaml
berth up --detach -f odd.yaml >/dev/null 2>&1
wait_for 20 eval '[ "$(of a "{{.HostConfig.Privileged}}")" = true ]'
ok $? "privileged, whether or not this machine can start it"
berth down "$app" >/dev/null
}

# ---------------------------------------------------------------- networks and ports
networks() {
app=$it-net
docker network create "$app-outside" >/dev/null
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, command: sleep 1000}
x-web: &web {image: "$image", stop_grace_period: 1s, init: true, command: [sh, -c, "hostname >/www/index.html; httpd -p 80 -h /www; httpd -p 81 -h /www; exec httpd -f -p 82 -h /www"]}
services:
  db:
    <<: *web
    expose: ["5432", "6000-6001/udp"]
    networks:
      front: {aliases: [store, depot], ipv4_address: $net.10, mac_address: "02:42:0a:00:00:10"}
  web:
    <<: *web
    hostname: web
    links: ["db:database", db]
    networks: {front: {priority: 10}, back: , away: }
    ports:
      - "127.0.0.1:$port:80"
      - "127.0.0.1:$((port + 1))-$((port + 2)):81-82"
      - "$((port + 3)):5353/udp"
      - {target: 80, published: "$((port + 4))", host_ip: 127.0.0.1, mode: host, name: direct, app_protocol: http}
      - {target: 81, published: "$((port + 5))", host_ip: 127.0.0.1, protocol: tcp, mode: ingress}
      - "82"
  beside: {<<: *box, network_mode: "service:web"}
  onhost: {<<: *box, network_mode: host}
  alone: {<<: *box, networks: [back]}
  mac: {<<: *box, mac_address: "02:42:ac:11:65:43"}
networks:
  front: {ipam: {driver: default, config: [{subnet: $net.0/24, gateway: $net.1, ip_range: $net.128/25, aux_addresses: {kept: $net.200}}]}, labels: {n: "1"},
          driver_opts: {com.docker.network.bridge.name: br$$}}
  back: {internal: true, attachable: true, name: $app-chosen}
  away: {external: true, name: $app-outside}
YAML
succeeds "networks: up" berth up
address() { in_ "$1" nslookup "$2" 2>/dev/null | awk '/^Address/ && !/#53|:53/ { print $NF }' | grep -v : | tail -n 1; }
is "$(address web db) $(address web database) $(address web store) $(address web depot)" "$net.10 $net.10 $net.10 $net.10" "a link's alias, aliases, and a static address"
is "$(in_ db cat /sys/class/net/eth0/address) $(in_ mac cat /sys/class/net/eth0/address)" "02:42:0a:00:00:10 02:42:ac:11:65:43" "mac_address of an endpoint and of a service"
is "$(of db '{{json .Config.ExposedPorts}}')" '{"5432/tcp":{},"6000/udp":{},"6001/udp":{}}' "expose"
is "$(of web '{{.NetworkSettings.Networks | len}}') $(of web '{{.HostConfig.NetworkMode}}')" "3 ${app}_front" "three networks, the first by its priority"
is "$(docker network inspect "$app-chosen" -f '{{.Internal}} {{.Attachable}}')" "true true" "internal and attachable, by its own name"
is "$(docker network inspect "${app}_front" -f '{{json (index .IPAM.Config 0)}} {{index .Labels "n"}} {{index .Options "com.docker.network.bridge.name"}}')" \
  "{\"Subnet\":\"$net.0/24\",\"IPRange\":\"$net.128/25\",\"Gateway\":\"$net.1\",\"AuxiliaryAddresses\":{\"kept\":\"$net.200\"}} 1 br$$" "ipam, labels, driver_opts"
is "$(spaces beside net)" "$(spaces web net)" "network_mode of another service"
is "$(spaces onhost net)" "$(readlink "/proc/$$/ns/net")" "network_mode host"
got=
for n in 0 1 2 4 5; do got+="$(curl -s -m 3 "http://127.0.0.1:$((port + n))/") "; done
is "$got" "web web web web web " "ports: short, a range, of the host, and through the proxy"
is "$(of web "{{(index (index .HostConfig.PortBindings \"5353/udp\") 0).HostPort}}") $(of web "{{(index (index .HostConfig.PortBindings \"80/tcp\") 0).HostPort}}")" \
  "$((port + 3)) $((port + 4))" "udp and mode: host are the engine's"
any=$(of web '{{(index (index .NetworkSettings.Ports "82/tcp") 0).HostPort}}')
is "$(curl -s -m 3 "http://127.0.0.1:$any/")" web "a port that the engine chooses"
is "$(it_json berth ps "$app" --format json -- "[.[] | select(.service == \"web\") | .ports[].published] | sort | unique | length")" 7 "ps has them all"
ok "$(grep -qi ":$(printf %04x $((port + 3))) " /proc/net/udp /proc/net/udp6; echo $?)" "where a datagram port is open"
cat >linked.yaml <<YAML
name: $it-linked
services: {a: {image: "$image", network_mode: bridge, links: [b]}, b: {image: "$image"}}
YAML
fails "links without a network of the app" 2 berth up --dry-run -f linked.yaml
like "$out" 'linked.yaml:2:[0-9]+: error: services.a has links, but with "network_mode: bridge"' "are refused at their place"
first=$(container db)
sed -i 's/"db:database", db/"db:database", "db:later"/' compose.yaml
succeeds "a further link" berth up
is "$(address web later)" "$net.10" "is known to a service that runs already"
unlike "$(container db)" "$first" "whose container has the new alias"
berth down "$app" >/dev/null
docker network rm "$app-outside" >/dev/null
}

# ---------------------------------------------------------------- volumes, secrets, configs
storage() {
app=$it-keep
mkdir -p "$work/bound/deep"
echo bound >bound/file
echo "top secret" >secret.txt
echo "of a file" >config.txt
docker volume create "$app-theirs" >/dev/null
printf 'from outside' | berth secret put "$it-global" >/dev/null
export ATTR_SECRET='from the environment'
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, network_mode: none, command: sleep 1000}
services:
  files:
    <<: *box
    volumes:
      - data:/data
      - data:/again:ro
      - ./bound:/bound
      - ./bound/file:/one:ro
      - ./made/by/engine:/made
      - /anonymous
      - {type: volume, source: theirs, target: /theirs, read_only: true, volume: {nocopy: true}}
      - {type: bind, source: ./bound, target: /shared, bind: {propagation: private}}
      - {type: tmpfs, target: /ram, tmpfs: {size: 1m, mode: 0o1700}}
      - opts:/opts
    secrets:
      - plain
      - {source: env, target: /etc/own/place, uid: "12", gid: "34", mode: 0440}
      - {source: global, target: renamed}
    configs:
      - {source: text, target: /etc/app.conf, mode: 0604, uid: "7"}
      - file
      - {source: env, target: /etc/env.conf}
  sub:
    <<: *box
    depends_on: [files]
    volumes: [{type: volume, source: data, target: /sub, volume: {subpath: in/side}}]
  also: {<<: *box, volumes_from: ["files:ro"]}
  seed:
    <<: *box
    command: [sh, -c, "mkdir -p /d/in/side; echo below >/d/in/side/f"]
    restart: "no"
    volumes: ["data:/d"]
volumes:
  data: {labels: {kept: "yes"}}
  theirs: {external: true, name: $app-theirs}
  opts: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: "size=2m,mode=0711"}}
secrets:
  plain: {file: ./secret.txt}
  env: {environment: ATTR_SECRET}
  global: {external: true, name: $it-global}
configs:
  text: {content: "listen = \${ATTR_PORT:-99}\n"}
  file: {file: ./config.txt}
  env: {environment: ATTR_SECRET}
YAML
sed -i 's/depends_on: \[files\]/depends_on: {seed: {condition: service_completed_successfully}}/' compose.yaml
succeeds "storage: up" berth up
is "$(in_ files sh -c 'echo x >/data/x; cat /again/x; cat /bound/file /one; ls /made; ls -d /anonymous')" "$(printf 'x\nbound\nbound\n/anonymous')" "named, bind, made and anonymous volumes"
is "$(in_ files sh -c 'touch /again/y /theirs/y /one; echo $?' | grep -c Read-only)" 3 "read-only volumes and mounts"
ok "$([ -d made/by/engine ]; echo $?)" "a bind mount's folder is made, beside the file"
is "$(of files '{{range .Mounts}}{{if eq .Destination "/shared"}}{{.Propagation}}{{end}}{{end}}')" private "a bind mount's propagation"
is "$(of files '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}')" "${app}_data" "a volume's name"
is "$(in_ files sh -c "stat -c %a /ram; stat -f -c '%T %b' /ram; stat -f -c '%T %b' /opts; stat -c %a /opts" | tr '\n' ' ')" "1700 tmpfs 256 tmpfs 512 711 " "tmpfs mounts, driver_opts"
is "$(docker volume inspect "${app}_data" -f '{{index .Labels "kept"}}')" yes "a volume's labels"
is "$(in_ sub ls /sub) $(in_ sub cat /sub/f)" "f below" "subpath"
is "$(in_ also cat /data/x) $(in_ also touch /bound/z | grep -c Read-only)" "x 1" "volumes_from"
is "$(in_ files sh -c 'cat /run/secrets/plain; cat /etc/own/place; echo; cat /run/secrets/renamed')" "$(printf 'top secret\nfrom the environment\nfrom outside')" "secrets: file, environment, external"
is "$(in_ files stat -c '%a %u %g' /etc/own/place /run/secrets/plain | tr '\n' ' ')" "440 12 34 444 0 0 " "uid, gid, mode of secrets"
is "$(in_ files awk '$2 == "/run/secrets/plain" || $2 == "/etc/app.conf" { print $3 }' /proc/mounts | tr '\n' ' ')" "tmpfs tmpfs " "both lie on a tmpfs"
like "$(in_ files sh -c 'echo >/run/secrets/plain')" "Read-only" "that the container cannot write"
is "$(in_ files sh -c 'cat /etc/app.conf /file /etc/env.conf; stat -c "%a %u" /etc/app.conf')" "$(printf 'listen = 99\nof a file\nfrom the environment604 7')" "configs: content, file, environment; uid and mode"
first=$(container files) other=$(container also)
echo "new secret" >secret.txt
succeeds "a changed secret" berth up
unlike "$(container files)" "$first" "rolls the service"
is "$(in_ files cat /run/secrets/plain)" "new secret" "which has it"
printf 'changed outside' | berth secret put "$it-global" >/dev/null
ok "$(wait_for 20 eval '[ "$(in_ files cat /run/secrets/renamed)" = "changed outside" ]'; echo $?)" "as does one that is changed at the server"
is "$(in_ also cat /data/x)" x "volumes_from follows"
berth down "$app" --volumes >/dev/null
berth secret rm "$it-global" >/dev/null 2>&1
docker volume inspect "$app-theirs" >/dev/null 2>&1
ok $? "an external volume stays"
docker volume rm "$app-theirs" >/dev/null
}

# Themes can be named as arguments.
for theme in ${*:-process isolation networks storage}; do
  $theme
done
done_testing
