#!/usr/bin/env bash
# Attributes of Compose, end to end: what the file says is what a container on a real engine has, seen from inside it or by the
# engine's own words. One app per theme. What the kernel of a small machine cannot do is looked up at the engine instead.
# timeout: 300
# shellcheck source=tests/it/lib.sh
. "$(dirname "$0")/lib.sh"

image=berth-$it/box:1
net=10.$((80 + $$ % 100)).$(($$ / 100 % 250))
port=$((20000 + $$ * 16 % 10000))
it_server
it_image "$image"
running=()
trap 'rc=$?; [ ! -f "$it_dir/registry.pid" ] || kill "$(cat "$it_dir/registry.pid")" 2>/dev/null; (exit $rc); it_cleanup' EXIT

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
mkdir -p attach
cat >attach/compose.yaml <<YAML
name: $it-attach
x-box: &box {image: "$image", stop_grace_period: 0s, init: true, network_mode: none}
services:
  loud: {<<: *box, command: [sh, -c, "echo said aloud; exec sleep 1000"]}
  quiet: {<<: *box, attach: false, command: [sh, -c, "echo said quietly; exec sleep 1000"]}
YAML
succeeds "attach: up" berth up -f attach/compose.yaml
is "$(cd attach && berth logs --no-prefix)" "said aloud" "attach: false keeps a service out of its app's logs"
is "$(berth logs --no-prefix "$it-attach/quiet")" "said quietly" "until it is named"
berth logs -f --no-prefix "$it-attach" >followed 2>&1 &
follower=$!
wait_for 10 grep -q aloud followed
succeeds "attach: restart" berth restart "$it-attach"
ok "$(wait_for 20 eval '[ "$(grep -c aloud followed)" -ge 2 ]'; echo $?)" "logs -f follows the others"
kill -TERM $follower
wait $follower 2>/dev/null
unlike "$(cat followed)" quietly "and only those"
berth down "$it-attach" >/dev/null
cat >annotated.yaml <<YAML
name: $it-ann
services: {a: {image: "$image", command: sleep 100, annotations: {k: v}}}
YAML
if [ "$(docker version -f '{{.Server.APIVersion}}' | tr -d .)" -lt 143 ]; then
  fails "annotations are refused by an engine that has none" 1 berth up -f annotated.yaml
  like "$out" "annotations need an engine with API 1.43 .*; this one has 1\.[0-9]+" "with a sentence"
fi
berth down "$it-ann" >/dev/null 2>&1
if [ "$(docker version -f '{{.Server.APIVersion}}' | tr -d .)" -lt 144 ]; then
  sed -i 's/annotations: {k: v}/healthcheck: {test: "true", start_interval: 1s}/' annotated.yaml
  fails "start_interval is refused by an engine that has none" 1 timeout 30 berth up -f annotated.yaml
  like "$out" "healthcheck.start_interval needs an engine with API 1.44 .*; this one has 1\.[0-9]+.*trying again does not help" "by name, and at once"
  berth down "$it-ann" >/dev/null 2>&1
fi
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
# Of the container's own process: what is run in it beside may get the hard limit from runc.
is "$(in_ lock sed -nE 's/^Max (open files|processes) +([0-9]+) +([0-9]+).*/\2 \3/p' /proc/1/limits | tr '\n' ' ')" "333 333 100 200 " "ulimits"
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
sed -i 's/storage_opt: .*}}}/deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}}}/' odd.yaml
berth up --detach -f odd.yaml >/dev/null 2>&1
wait_for 20 eval '[ "$(of a "{{len .HostConfig.DeviceRequests}}")" = 1 ]'
is "$(of a '{{json .HostConfig.DeviceRequests}}')" '[{"Driver":"nvidia","Count":2,"DeviceIDs":[],"Capabilities":[["gpu"]],"Options":{}}]' "devices by reservation"
sed -i 's/deploy: .*/privileged: true}}/; s/^services:.*privileged/services: {a: {image: "'"${image//\//\\/}"'", command: sleep 100, restart: "no", privileged/' odd.yaml
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
six=fd00:be:$(printf %x $(($$ % 65536)))
cat >six.yaml <<YAML
name: $it-six
services:
  a: {image: "$image", stop_grace_period: 0s, init: true, command: [sh, -c, "exec httpd -f -p '[::]:80' -h /www"], networks: {six: {ipv6_address: "$six::10"}}}
  b: {image: "$image", stop_grace_period: 0s, init: true, command: sleep 1000, networks: [six]}
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: "$six::/64", gateway: "$six::1"}]}}}
YAML
if docker network create --ipv6 --subnet "$six::/64" "$it-probe" >/dev/null 2>&1 && docker network rm "$it-probe" >/dev/null; then
  succeeds "a network with IPv6" timeout 60 berth up -f six.yaml
  app=$it-six
  is "$(docker network inspect "${app}_six" -f '{{.EnableIPv6}} {{range .IPAM.Config}}{{.Subnet}},{{.Gateway}} {{end}}' | grep -o "true\|$six::/64,$six::1" | tr '\n' ' ')" "true $six::/64,$six::1 " "enable_ipv6, an ipam subnet"
  is "$(of a '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}/{{.GlobalIPv6PrefixLen}}{{end}}')" "$six::10/64" "ipv6_address"
  like "$(in_ b ping -6 -c 1 -W 3 "$six::10")" " 0% packet loss" "by which others reach it"
  berth down "$app" >/dev/null
  app=$it-net
else
  skip "a network with IPv6" "this engine makes none"
fi
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

# ---------------------------------------------------------------- who waits for whom, hooks, probes, profiles
order() {
app=$it-order
mkdir -p "$work/seen"
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, network_mode: none, command: sleep 1000}
services:
  job: {<<: *box, command: [sh, -c, "sleep 0.5"], restart: "no"}
  slow:
    <<: *box
    volumes: ["./seen:/seen"]
    healthcheck: {test: "test -e /seen/beside", interval: 300ms, timeout: 2s, retries: 99, start_period: 100ms}
  after:
    <<: *box
    depends_on:
      job: {condition: service_completed_successfully}
      slow: {condition: service_healthy, restart: true}
      extra: {condition: service_started, required: false}
  # Without it nobody is healthy: a service_started that waits for health would wait for ever.
  beside: {<<: *box, volumes: ["./seen:/seen"], command: [sh, -c, "touch /seen/beside; exec sleep 1000"], depends_on: {slow: {condition: service_started}}, healthcheck: {disable: true}}
  extra: {<<: *box, profiles: [more]}
  hooked:
    <<: *box
    volumes: ["./seen:/seen"]
    post_start: [{command: [sh, -c, 'echo "\$\$(id -u) \$\$(pwd) \$\$WORD" >/tmp/hook; sleep 0.3'], user: "12", working_dir: /tmp, environment: [WORD=said]}]
    pre_stop: [{command: "sh -c 'sleep 0.3; echo bye >/seen/bye'"}]
  probed:
    <<: *box
    network_mode: bridge
    command: [sh, -c, "echo \$\$\$\$ >/www/index.html; touch /tmp/live; sleep 0.7; httpd -p 80 -h /www; exec sleep 1000"]
    x-berth:
      probes:
        startup: {tcp: {port: 80}, interval: 200ms, timeout: 1s, failures: 50}
        readiness: {http: {port: 80, path: /index.html, headers: {X-Own: "1"}, status: 200}, interval: 200ms, timeout: 1s, failures: 1}
        liveness: {exec: {command: "test -e /tmp/live"}, interval: 200ms, timeout: 2s, failures: 2}
YAML
succeeds "order: up" berth up
healthy=$(of slow '{{range .State.Health.Log}}{{if eq .ExitCode 0}}{{.End.UTC.Format "2006-01-02T15:04:05.000000000"}} {{end}}{{end}}')
ended=$(of job '{{.State.FinishedAt}}') began=$(of after '{{.State.StartedAt}}')
ok "$([[ ${healthy%% *} < $began && $ended < $began && -n $healthy ]]; echo $?)" "after what is healthy and what has completed"
is "$(of slow '{{json .Config.Healthcheck}}')" '{"Test":["CMD-SHELL","test -e /seen/beside"],"Interval":300000000,"Timeout":2000000000,"StartPeriod":100000000,"Retries":99}' "healthcheck"
is "$(of beside '{{json .Config.Healthcheck.Test}}')" '["NONE"]' "healthcheck: disable"
ok "$([[ $(of slow '{{.State.StartedAt}}') < $(of beside '{{.State.StartedAt}}') ]]; echo $?)" "service_started waits for a start, and not for health"
is "$(container extra)" "" "a profile that is not asked for, and a dependency that is not required"
is "$(in_ hooked cat /tmp/hook)" "12 /tmp said" "post_start has its user, folder and environment"
is "$(of job '{{.State.Status}} {{.State.ExitCode}}') $(berth ps "$app" --format json | jq '[.[] | select(.service == "job") | .restarts] | add')" "exited 0 0" "restart: no"
ready() { berth ps "$app" --format json | jq -r ".[] | select(.service == \"$1\") | \"\(.ready) \(.restarts)\""; }
is "$(ready probed)" "true 0" "probes by tcp and http pass"
docker exec "$(container probed)" mv /www/index.html /www/away
ok "$(wait_for 10 eval '[ "$(ready probed)" = "false 0" ]'; echo $?)" "readiness: not ready, not restarted"
docker exec "$(container probed)" mv /www/away /www/index.html
ok "$(wait_for 10 eval '[ "$(ready probed)" = "true 0" ]'; echo $?)" "and ready again"
docker exec "$(container probed)" rm /tmp/live
ok "$(wait_for 20 eval '[ "$(ready probed)" = "true 1" ]'; echo $?)" "liveness: restarted"
was=$(of after '{{.State.StartedAt}}') beside=$(of beside '{{.State.StartedAt}}')
succeeds "restart" berth restart "$app/slow"
ok "$(wait_for 20 eval '[[ $(of after "{{.State.StartedAt}}") > $was ]]'; echo $?)" "depends_on restart: the dependent restarts as well"
is "$(of beside '{{.State.StartedAt}}')" "$beside" "and only that one"
ok "$(wait_for 20 eval '[ "$(ready after | cut -d" " -f1)" = true ]'; echo $?)" "which is ready again"
succeeds "a profile" berth up --profile more
is "$(of extra '{{.State.Running}}')" true "is there when asked for"
berth down "$app" >/dev/null
is "$(cat seen/bye)" bye "pre_stop ran to its end"
}

# ---------------------------------------------------------------- deploy: modes, jobs, placement, restart policies
deploy() {
app=$it-modes
mkdir -p "$work/count"
cat >compose.yaml <<YAML
name: $app
x-box: &box {image: "$image", stop_grace_period: 1s, init: true, network_mode: none, command: sleep 1000}
services:
  three: {<<: *box, deploy: {mode: replicated, replicas: 3, placement: {constraints: ["node.role != nothing", "node.platform.os == linux"], max_replicas_per_node: 3, preferences: [{spread: node.labels.zone}]}}}
  two: {<<: *box, scale: 2}
  every: {<<: *box, deploy: {mode: global}}
  work: {<<: *box, command: [sh, -c, "mktemp /count/work.XXXXXX; sleep 0.3"], volumes: ["./count:/count"], deploy: {mode: replicated-job, replicas: 2}, x-berth: {job: {completions: 5, max_concurrent: 2}}}
  once: {<<: *box, command: [sh, -c, "mktemp /count/once.XXXXXX"], volumes: ["./count:/count"], deploy: {mode: global-job}}
  again: {<<: *box, command: [sh, -c, "mktemp /count/again.XXXXXX; [ \$\$(ls /count/again.* | wc -l) -gt 1 ]"], volumes: ["./count:/count"], deploy: {mode: replicated-job, restart_policy: {condition: on-failure, delay: 100ms, max_attempts: 3}}}
YAML
succeeds "modes: up, which waits for the jobs" berth up
count() { find "$work/count" -name "$1.*" | wc -l; }
is "$(count work) $(count once) $(count again)" "5 1 2" "completions of jobs, a global job, a job that is tried again"
is "$(berth ps "$app" --format json | jq -r '[.[] | select(.state == "running") | .service] | group_by(.) | map("\(.[0]) \(length)") | join(", ")')" "every 1, three 3, two 2" "replicated, scale, global"
succeeds "up again" berth up
is "$(count work)" 5 "runs no job twice"
cat >bad.yaml <<YAML
name: $app-bad
services: {work: {image: "$image", command: ["false"], deploy: {mode: replicated-job}, x-berth: {job: {backoff_limit: 0}}}}
YAML
fails "a job that fails" 1 berth up -f bad.yaml
like "$out" "work.*(exit code 1|failed)" "and its reason"
cat >nowhere.yaml <<YAML
name: $app-off
services:
  a: {image: "$image", command: sleep 100, deploy: {placement: {constraints: ["node.labels.zone == moon"]}}}
  b: {image: "$image", command: sleep 100, init: true, deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}}
YAML
berth up --detach -f nowhere.yaml >/dev/null 2>&1
wait_for 10 eval '[ "$(docker ps -q --filter label=berth.app=$app-off --filter label=berth.service=b | wc -l)" = 1 ]'
like "$(berth why "$app-off/a")" "node.labels.zone ?== ?moon" "constraints hold, and why says so"
is "$(docker ps -q --filter "label=berth.app=$app-off" | wc -l)" 1 "as does max_replicas_per_node"
cat >restarts.yaml <<YAML
name: $app-rest
x-box: &box {image: "$image", network_mode: none, volumes: ["./count:/count"]}
services:
  tried: {<<: *box, command: [sh, -c, "mktemp /count/tried.XXXXXX; exit 3"], deploy: {restart_policy: {condition: on-failure, delay: 2s, max_attempts: 1, window: 5s}}}
  well: {<<: *box, command: [sh, -c, "mktemp /count/well.XXXXXX"], restart: on-failure}
  always: {<<: *box, command: [sh, -c, "mktemp /count/always.XXXXXX; sleep 0.2"], restart: always}
  unless: {<<: *box, command: [sh, -c, "mktemp /count/unless.XXXXXX; sleep 0.2"], restart: unless-stopped}
  wide: {<<: *box, command: [sh, -c, "mktemp /count/wide.XXXXXX; sleep 1; exit 3"], deploy: {restart_policy: {condition: on-failure, delay: 100ms, max_attempts: 1, window: 60s}}}
  narrow: {<<: *box, command: [sh, -c, "mktemp /count/narrow.XXXXXX; sleep 1; exit 3"], deploy: {restart_policy: {condition: on-failure, delay: 100ms, max_attempts: 1, window: 300ms}}}
YAML
berth up --detach -f restarts.yaml >/dev/null 2>&1
ok "$(wait_for 20 eval '[ "$(count tried)" = 2 ] && [ "$(count always)" -ge 2 ]'; echo $?)" "restart policies start again what they should"
ok "$(stat -c %Y count/tried.* | sort -n | awk 'NR == 1 { a = $1 } END { exit !($1 - a >= 2) }'; echo $?)" "after their delay"
sleep 0.7
is "$(count tried) $(count well)" "2 1" "and no more than max_attempts"
ok "$(wait_for 20 eval '[ "$(count narrow)" -ge 4 ]'; echo $?)" "window: what ran that long is counted anew"
is "$(count wide)" 2 "and what ran for less is not"
ok $(($(count unless) < 2)) "restart: unless-stopped starts again what ended well"
ok "$(wait_for 20 eval '[ "$(docker inspect -f "{{.State.Running}}" "$(app=$it-modes-rest container unless)")" = true ]'; echo $?)" "and it runs now and then"
for name in "" -bad -off -rest; do berth down "$app$name" >/dev/null 2>&1; done
}

# ---------------------------------------------------------------- updates that go well and badly, side by side
# update NAME SETTINGS REPLICAS: an app NAME of one service; change NAME COMMAND: its update, in the background; then $app-NAME.{rc,out,ms}
update() {
  cat >"$1.yaml" <<YAML
name: $it-$1
services:
  s: {image: "$image", init: true, stop_grace_period: 1s, network_mode: none, volumes: ["./$1:/d"], command: [sh, -c, "exec sleep 1000"],
      x-berth: {progress_deadline: 20s}, deploy: {replicas: $3, update_config: $2, rollback_config: {parallelism: 0, order: start-first}}}
YAML
  berth up -f "$1.yaml" >"$1.first" 2>&1
}
change() {
  local begun=${EPOCHREALTIME/./}
  sed -i "s/exec sleep 1000/$2/" "$1.yaml"
  berth up -f "$1.yaml" >"$1.out" 2>&1
  echo $? >"$1.rc"
  echo $(((${EPOCHREALTIME/./} - begun) / 1000)) >"$1.ms"
}
# commands NAME: how many containers that run have which last word of their command.
commands() { docker ps -q --filter "label=berth.app=$it-$1" | xargs -r docker inspect -f '{{index .Config.Cmd 2}}' | sort | uniq -c | awk '{ printf "%s%s %s", sep, $1, $NF; sep = "," }'; }
state_of() { berth ls --format json | jq -r ".[] | select(.app == \"$it-$1\") | .state"; }
rollouts() {
update step "{parallelism: 1, delay: 1s, monitor: 200ms, order: start-first}" 3 &
update stop "{parallelism: 2, delay: 0s, monitor: 200ms, order: stop-first}" 2 &
update back "{parallelism: 1, monitor: 4s, failure_action: rollback}" 2 &
update hold "{parallelism: 1, monitor: 1s, failure_action: pause}" 2 &
update goon "{parallelism: 1, monitor: 1s, failure_action: continue}" 2 &
update some "{parallelism: 1, monitor: 1s, failure_action: rollback, max_failure_ratio: 0.5}" 4 &
wait $(jobs -p | grep -vx "$it_pid")
is "$(for name in step stop back hold goon some; do commands $name; done | tr -d '\n')" "3 10002 10002 10002 10002 10004 1000" "six apps stand"
change step "exec sleep 1001" &
change stop "exec sleep 1001" &
change back "sleep 1; exit 1" &
change hold "exit 1" &
change goon "exit 1" &
# The first container fails for good, the others are well.
change some 'mkdir \/d\/it 2>\/dev\/null \&\& hostname >\/d\/who; [ $$(cat \/d\/who) != $$(hostname) ] \&\& exec sleep 1001' &
low=9 high=0
while [ ! -f step.ms ]; do
  n=$(docker ps -q --filter "label=berth.app=$it-step" | wc -l)
  low=$((n < low ? n : low)) high=$((n > high ? n : high))
done
for name in stop back hold goon some; do wait_for 90 test -f $name.ms; done
is "$(cat step.rc) $(commands step)" "0 3 1001" "an update"
ok $(($(cat step.ms) < 2000)) "delay: 1 s between three batches of parallelism 1 ($(cat step.ms) ms)"
is "$low $high" "3 4" "order start-first with parallelism 1: never fewer, at most one more"
is "$(cat stop.rc) $(commands stop)" "0 2 1001" "order stop-first with parallelism 2"
ok $(($(cat stop.ms) >= $(cat step.ms))) "is quicker ($(cat stop.ms) ms)"
is "$(cat back.rc)" 1 "failure_action rollback: up fails"
ok "$(wait_for 20 eval '[ "$(commands back)" = "2 1000" ]'; echo $?)" "and what ran before runs, since it failed while monitor lasted"
like "$(cat back.out)" "back" "which up says"
is "$(cat hold.rc) $(commands hold)" "1 1 1000" "failure_action pause: the other instance is left alone"
like "$(berth events "$it-hold")" "rollout.paused" "the update is paused"
ok "$(wait_for 20 eval '[ "$(commands goon)" = "" ]'; echo $?)" "failure_action continue: goes through all the same"
is "$(commands some)" "3 1001" "max_failure_ratio 0.5: one of four that fails does not undo the update"
cat >undo.yaml <<YAML
name: $it-undo
services:
  s: {image: "$image", init: true, stop_grace_period: 0s, network_mode: none, command: [sh, -c, "exec sleep 1000"],
      deploy: {replicas: 3, update_config: {parallelism: 0, order: stop-first, monitor: 100ms}, rollback_config: {parallelism: 1, delay: 1s, order: start-first, monitor: 100ms}}}
YAML
berth up -f undo.yaml >/dev/null 2>&1
sed -i 's/sleep 1000/sleep 1001/' undo.yaml
berth up -f undo.yaml >/dev/null 2>&1
is "$(commands undo)" "3 1001" "an update to be undone"
begun=${EPOCHREALTIME/./}
(berth rollback "$it-undo" >undo.out 2>&1; echo $? >undo.rc; mv undo.rc undo.end) &
low=9 high=0
while [ ! -f undo.end ]; do
  n=$(docker ps -q --filter "label=berth.app=$it-undo" | wc -l)
  low=$((n < low ? n : low)) high=$((n > high ? n : high))
done
took=$(((${EPOCHREALTIME/./} - begun) / 1000))
wait_for 10 eval '[ "$(commands undo)" = "3 1000" ]' # the last old one may still be on its way
is "$(cat undo.end) $(commands undo)" "0 3 1000" "a rollback"
is "$low $high" "3 4" "goes after rollback_config: start-first, one at a time"
ok $((took < 2000)) "with its delay ($took ms)"
berth down "$it-undo" >/dev/null 2>&1
for name in step stop back hold goon some; do berth down "$it-$name" >/dev/null 2>&1 & done
wait $(jobs -p | grep -vx "$it_pid")
}

# ---------------------------------------------------------------- pull policies, digests, builds

# What was pulled bears its name, so that "missing", the default, asks the registry only once, as everywhere.
tags() {
local app=$it-tags name=$reg/named:1 one two
named() { docker inspect -f '{{.Id}}' "$name" 2>&1; }
numbered() { printf 'FROM %s\nLABEL of=%s\nCMD ["sleep", "1000"]\n' "$image" "$1" | docker build -q -t "$name" - && docker push -q "$name" >/dev/null; }
one=$(numbered one)
docker image rm -f "$name" >/dev/null
cat >tags.yaml <<YAML
name: $app
services:
  a: {image: "$name", init: true, network_mode: none, stop_grace_period: 0s}
YAML
succeeds "tags: up" berth up -f tags.yaml
is "$(named) $(of a '{{.Image}}')" "$one $one" "what was pulled by digest bears its name"
two=$(numbered two)
docker tag "$one" "$name" && docker image rm -f "$two" >/dev/null
first=$(container a)
succeeds "up once the tag has moved in the registry" berth up -f tags.yaml
is "$(container a)" "$first" "pull_policy missing takes what is here, under the same pin"
sed -i 's/init:/pull_policy: always, init:/' tags.yaml
succeeds "up with pull_policy always" berth up -f tags.yaml
is "$(named) $(of a '{{.Image}}')" "$two $two" "follows the tag, and so does the name"
sed -i 's/pull_policy: always, //' tags.yaml
first=$(container a)
succeeds "up with the default again" berth up -f tags.yaml
is "$(container a)" "$first" "which finds what was pulled"
berth down "$app" >/dev/null 2>&1
docker image rm -f "$name" "$one" "$two" >/dev/null 2>&1
}

images() {
local reg pid was now first tries due tag drawn
app=$it-images
reg=127.0.0.1:$((port + 9))
cat >registry.yml <<YAML
version: 0.1
log: {accesslog: {disabled: true}, level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "$reg"}
YAML
docker-registry serve registry.yml >registry.log 2>&1 &
pid=$!
echo $pid >"$it_dir/registry.pid"
wait_for 10 curl -sf "http://$reg/v2/"
# push N: another image under the same tag; its digest is in $now. It is not left on the engine.
push() {
  printf 'FROM %s\nLABEL number=%s\n' "$image" "$1" | docker build -q -t "$reg/app:1" - >/dev/null 2>&1
  now=$(docker push -q "$reg/app:1" >/dev/null && docker inspect -f '{{index .RepoDigests 0}}' "$reg/app:1" | sed 's/.*@//')
  for tag in daily weekly every; do # names of their own: services of one image share its pin
    docker tag "$reg/app:1" "$reg/app:$tag" && docker push -q "$reg/app:$tag" >/dev/null && docker image rm -f "$reg/app:$tag" >/dev/null
  done
  docker image rm -f "$reg/app:1" >/dev/null
}
push 1
mkdir -p ctx && echo ignored >ctx/left-out && echo left-out >ctx/.dockerignore && echo kept >ctx/kept
cat >ctx/Own.dockerfile <<EOT
FROM $image AS base
ARG WORD=default
RUN echo "\$WORD" >/word
COPY . /ctx/
FROM base AS wanted
RUN echo wanted >/stage
FROM base AS other
RUN echo other >/stage
EOT
mkdir -p scratch && cp "$(command -v busybox)" scratch/
printf 'FROM scratch\nCOPY busybox /busybox\nENTRYPOINT ["/busybox", "sleep", "1000"]\n' >scratch/Dockerfile
cat >compose.yaml <<YAML
name: $app
x-box: &box {stop_grace_period: 1s, init: true, network_mode: none}
services:
  always: {<<: *box, image: "$reg/app:1", pull_policy: always, restart: always, command: sleep 1000}
  missing: {<<: *box, image: "$reg/app:1", pull_policy: missing, command: sleep 1000}
  daily: {<<: *box, image: "$reg/app:daily", pull_policy: daily, command: sleep 1000}
  weekly: {<<: *box, image: "$reg/app:weekly", pull_policy: weekly, command: sleep 1000}
  every: {<<: *box, image: "$reg/app:every", pull_policy: every_45s, command: sleep 1000}
  built:
    <<: *box
    image: $app/built:1
    command: sleep 1000
    build: {context: ./ctx, dockerfile: Own.dockerfile, args: {WORD: given}, target: wanted, tags: ["$app/also:2"], labels: {of.build: "yes"}, cache_from: ["$image"], no_cache: true}
  bare: {<<: *box, build: ./scratch}
  inline: {<<: *box, build: {context: ./ctx, dockerfile_inline: "FROM $image\nCMD [\"sleep\", \"1000\"]\n"}}
  sealed:
    <<: *box
    command: sleep 1000
    build:
      context: ./sealed
      secrets: [of-file, {source: of-env, target: token}, of-berth]
secrets:
  of-file: {file: ./build-secret}
  of-env: {environment: BUILD_TOKEN}
  of-berth: {external: true, name: $app-outside}
YAML
# What the secrets say is only in the image as a sum; the words themselves are looked for afterwards.
mkdir -p sealed && printf 'word-of-file-%s' "$it" >build-secret
export BUILD_TOKEN=word-of-env-$it
printf 'word-of-berth-%s' "$it" | berth secret put "$app-outside" - >/dev/null
cat >sealed/Dockerfile <<EOT
FROM $image
RUN --mount=type=secret,id=of-file --mount=type=secret,id=token --mount=type=secret,id=of-berth cd /run/secrets && cat of-file token of-berth | sha256sum | cut -c1-64 >/sum
RUN ls /run/secrets >/later 2>/dev/null; true
EOT
# BuildKit's cache has no labels: what came meanwhile goes at the end.
built_cache() { curl -s --unix-socket /var/run/docker.sock http://engine/system/df | jq -r '.BuildCache[]?.ID' | sort; }
built_cache >cache.before
pinned=$SECONDS
succeeds "images: up, which pulls and builds" berth up
digest() { berth ps "$app" --format json | jq -r ".[] | select(.service == \"$1\") | .digest"; }
is "$(digest always)" "$now" "the digest of the registry is what ps shows"
is "$(docker inspect -f '{{index .RepoDigests 0}}' "$(of always '{{.Image}}')")" "$reg/app@$now" "and what runs"
is "$(in_ built cat /word /stage | tr '\n' ' ')$(in_ built ls /ctx | tr '\n' ' ')" "given wanted Own.dockerfile kept " "build: context, dockerfile, args, target, .dockerignore"
is "$(of built '{{index .Config.Labels "of.build"}}') $(docker inspect -f '{{.Id}}' "$app/also:2")" "yes $(of built '{{.Image}}')" "build: labels and tags"
is "$(of bare '{{.State.Running}} {{index .Config.Entrypoint 0}}') $(of inline '{{.State.Running}}')" "true /busybox true" "build from scratch, and from inline text"
is "$(in_ sealed cat /sum) $(in_ sealed cat /later)" "$(printf 'word-of-file-%s%s%s' "$it" "$BUILD_TOKEN" "word-of-berth-$it" | sha256sum | cut -c1-64) " "build.secrets: file, environment, external; gone after the step"
docker save -o sealed.tar "${app}-sealed" && mkdir -p saved && tar -C saved -xf sealed.tar
is "$(grep -arl "$(in_ sealed cat /sum)" saved | wc -l) $(grep -arl "word-of-.*-$it" saved; docker history --no-trunc "${app}-sealed" | grep "word-of-.*-$it")" "1 " "no layer, history or configuration holds one (the sum, though)"
is "$({ berth inspect "$app" --format json; berth history "$app" --format json; berth config compose.yaml; berth events "$app"; cat "$it_dir/berthd.log"; } 2>&1 | grep "word-of-.*-$it")" "" "nor what Berth shows and logs"
was=$now first=$(container always)
due=$((SECONDS + 46))
push 2
succeeds "up once the tag has moved" berth up
is "$(digest always) $(of always '{{index .Config.Labels "number"}}')" "$now 2" "pull_policy always follows the tag"
unlike "$(container always)" "$first" "with another container"
if [ $((SECONDS - pinned)) -lt 45 ]; then
  is "$(digest daily) $(digest weekly) $(digest every)" "$was $was $was" "pull_policy daily, weekly, every_45s: what was pinned is good for that long"
else # a busy machine
  is "$(digest daily) $(digest weekly)" "$was $was" "pull_policy daily, weekly: what was pinned is good for that long"
fi
wait_for 60 eval '[ $SECONDS -ge $due ]'
succeeds "up when 45 s are over" berth up
is "$(digest daily) $(digest weekly) $(digest every)" "$was $was $now" "every_45s follows the tag now, counted from when it was pinned"
tags
kill $pid
wait $pid 2>/dev/null
first=$(container always)
succeeds "up while the registry is away" berth up
is "$(digest always) $(container always)" "$now $first" "changes nothing: what is pinned goes on"
docker rm -f "$first" >/dev/null
ok "$(wait_for 20 eval '[ "$(of always "{{.State.Running}}")" = true ] && [ "$(container always)" != "$first" ]'; echo $?)" "and starts again"
is "$(of always '{{index .Config.Labels "number"}}')" 2 "as what it was"
cat >never.yaml <<YAML
name: $app-never
services:
  a: {image: "$reg/absent:1", pull_policy: never}
YAML
fails "pull_policy never" 1 berth up -f never.yaml
like "$out" "absent:1.*(pull policy|not on this machine)" "fetches nothing, and says so"
printf 'FROM %s\nRUN head -c 16 /dev/urandom | md5sum >/drawn\nCMD ["sleep", "1000"]\n' "$image" >ctx/Dockerfile
docker build -q -t "$app/source:1" ctx >/dev/null
cat >cached.yaml <<YAML
name: $app-cached
x-box: &box {stop_grace_period: 0s, init: true, network_mode: none}
services:
  from: {<<: *box, build: {context: ./ctx, cache_from: ["$app/source:1"]}}
  other: {<<: *box, build: {context: ./ctx, cache_from: ["$image"]}}
YAML
succeeds "builds with cache_from" berth up -f cached.yaml
app=$app-cached
drawn=$(docker run --rm --network none "${app%-cached}/source:1" cat /drawn)
is "$(in_ from cat /drawn)" "$drawn" "cache_from: layers of that image are used"
unlike "$(in_ other cat /drawn)" "^$drawn$" "and of no other"
berth down "$app" >/dev/null 2>&1
docker image rm -f "$app-from" "$app-other" "${app%-cached}/source:1" >/dev/null 2>&1
app=${app%-cached}
sed -i "s|absent:1.*|app@$now, platform: linux/s390x, pull_policy: never}|; s|image: \"|image: |" never.yaml
fails "another platform than the image's" 1 berth up -f never.yaml
for name in "" -never; do berth down "$app$name" >/dev/null 2>&1; done
ids=$(built_cache | comm -13 cache.before - | paste -sd '|')
[ -z "$ids" ] || curl -s -o /dev/null --unix-socket /var/run/docker.sock -X POST -G http://engine/build/prune --data-urlencode all=1 --data-urlencode "filters={\"id\":[\"^($ids)\$\"]}"
docker image rm -f "$app/built:1" "$app/also:2" "${app}-bare" "${app}-inline" "${app}-sealed" "$reg/app@$was" "$reg/app@$now" >/dev/null 2>&1
}

# Themes side by side, each in a folder of its own; they can be named as arguments.
themes=${*:-process isolation networks storage order deploy rollouts images}
for theme in $themes; do
  (
    work=$it_dir/work/$theme
    mkdir -p "$work" && cd "$work" || exit 1
    $theme
    echo "$tap_count $tap_failed" >"$it_dir/$theme.points"
  ) >"$it_dir/$theme.tap" 2>&1 &
  running[$!]=$theme
done
wait "${!running[@]}"
for theme in $themes; do
  echo "# $theme"
  awk -v n="$tap_count" '/^(not )?ok [0-9]+/ { sub(/ok [0-9]+/, "ok " ++n) } { print }' "$it_dir/$theme.tap"
  read -r points broken <"$it_dir/$theme.points" || { points=0 broken=1; }
  tap_count=$((tap_count + points)) tap_failed=$((tap_failed + broken))
done
done_testing
