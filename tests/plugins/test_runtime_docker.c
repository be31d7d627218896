/* A runtime on a real engine, or runtime-oci without one: the engine itself, networks, volumes, containers and their attributes. */
#include "config.h"

#include "plugins/runtime.h"

static void test_info(void) {
  RT c = {0};
  rt(&c, info);
  rt_is(&c, BT_OK, "info");
  is_str(rt_str(&c, "name"), R.oci ? "oci" : R.podman ? "podman" : "docker", "the engine's name");
  ok(bt_starts(rt_str(&c, "platform"), "linux/"), "platform %s", rt_str(&c, "platform"));
  ok(bt_json_num(c.result, "cpus", 0) >= 1, "it has processors");
  ok(bt_json_int(c.result, "memory", 0) > 1 << 20, "and memory");
  ok(bt_starts(rt_str(&c, "api_version"), "1."), "API %s", rt_str(&c, "api_version"));
  ok(bt_json_arr(c.result, "features"), "features are listed");
}

static void test_image(void) {
  struct berth_runtime_image request = {.size = sizeof request, .image = R.image};
  RT c = {0};
  rt(&c, image_inspect, &request);
  rt_is(&c, BT_OK, "image_inspect");
  ok(bt_starts(rt_str(&c, "id"), "sha256:"), "its id is %s", rt_str(&c, "id"));
  ok(bt_json_int(c.result, "size", 0) > 100000, "its size");
  RT missing = {0};
  request.image = "localhost/berth-test/none:1";
  rt(&missing, image_inspect, &request);
  rt_is(&missing, BT_NOT_FOUND, "no such image");
  RT other = {0};
  request = (struct berth_runtime_image){.size = sizeof request, .image = R.image, .platform = "linux/s390x"};
  rt(&other, image_inspect, &request);
  rt_is(&other, BT_NOT_FOUND, "an image of another platform is not the one wanted");
}

/* ---------------------------------------------------------------- networks and volumes */

static void network(const char *name, const char *plain, enum bt_code code, int created, const char *what) {
  BT_AUTO_FREE char *spec = own(plain);
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  BT_AUTO_FREE char *labels = bt_asprintf("{\"berth.test\":\"%s\"}", R.label);
  struct berth_runtime_network request = {.size = sizeof request, .name = full, .spec_json = spec, .labels_json = labels};
  RT c = {0};
  rt(&c, network_ensure, &request);
  rt_is(&c, code, what);
  if (!code)
    is_int(bt_json_bool(c.result, "created", false), created, created ? "it is made" : "it was there");
}

static void network_remove(const char *name, enum bt_code code, const char *what) {
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  RT c = {0};
  rt(&c, network_remove, full);
  rt_is(&c, code, what);
}

static void test_networks(void) {
  const char *spec = "{\"driver\":\"bridge\",\"internal\":true,\"ipam\":{\"config\":[{\"subnet\":\"10.213.7.0/24\",\"gateway\":\"10.213.7.1\"}]}}";
  network("a", spec, BT_OK, 1, "a network with a subnet");
  network("a", spec, BT_OK, 0, "once more");
  network("a", "{\"ipam\":{\"config\":[{\"subnet\":\"10.213.6.0/24\"}]},\"internal\":true}", BT_CONFLICT, 0, "another subnet");
  network("a", "{\"driver\":\"macvlan\"}", BT_CONFLICT, 0, "another driver");
  network("a", "{\"external\":true}", BT_OK, 0, "an external one is taken as it is");
  network("z", "{\"external\":true}", BT_NOT_FOUND, 0, "an external one that is missing is not made");
  struct berth_runtime_list request = {.size = sizeof request, .label = R.full};
  RT c = {0};
  rt(&c, network_list, &request);
  rt_is(&c, BT_OK, "network_list");
  json_t *list = bt_json_arr(c.result, "networks");
  is_int(json_array_size(list), 1, "one of ours");
  is_str(bt_json_str(json_array_get(list, 0), "driver"), "bridge", "its driver");
  network_remove("a", BT_OK, "network_remove");
  network_remove("a", BT_OK, "what is gone is removed");
}

static void volume(const char *name, const char *spec, enum bt_code code, int created, const char *what) {
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  BT_AUTO_FREE char *labels = bt_asprintf("{\"berth.test\":\"%s\"}", R.label);
  struct berth_runtime_volume request = {.size = sizeof request, .name = full, .spec_json = spec, .labels_json = labels};
  RT c = {0};
  rt(&c, volume_ensure, &request);
  rt_is(&c, code, what);
  if (!code)
    is_int(bt_json_bool(c.result, "created", false), created, created ? "it is made" : "it was there");
}

static void volume_remove(const char *name, enum bt_code code, const char *what) {
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  RT c = {0};
  rt(&c, volume_remove, full);
  rt_is(&c, code, what);
}

static void test_volumes(void) {
  volume("v", "{}", BT_OK, 1, "a volume");
  volume("v", "{}", BT_OK, 0, "once more");
  volume("v", "{\"driver\":\"other\"}", BT_CONFLICT, 0, "another driver");
  volume("v", "{\"driver_opts\":{\"type\":\"tmpfs\",\"device\":\"tmpfs\"}}", BT_CONFLICT, 0, "other options");
  volume("w", "{\"external\":true}", BT_NOT_FOUND, 0, "an external one that is missing");
  struct berth_runtime_list request = {.size = sizeof request, .label = R.full};
  RT c = {0};
  rt(&c, volume_list, &request);
  is_int(json_array_size(bt_json_arr(c.result, "volumes")), 1, "one of ours");
  BT_AUTO_FREE char *mounts = bt_asprintf("\"mounts\":[{\"type\":\"volume\",\"source\":\"%s-v\",\"target\":\"/data\"}]", R.label);
  char *id = make("user", "{\"command\":[\"sleep\",\"60\"]}", mounts);
  volume_remove("v", BT_CONFLICT, "a volume in use stays");
  discard(id);
  volume_remove("v", BT_OK, "volume_remove");
  volume_remove("v", BT_OK, "what is gone is removed");
}

/* ---------------------------------------------------------------- life of a container */

static void test_life(void) {
  char *id = make("life", "{\"command\":[\"sleep\",\"600\"],\"stop_grace_period\":\"1s\"}", NULL);
  seen_is(id, "state", "\"created\"");
  for (int i = 0; i < 2; i++)
    start(id);
  seen_is(id, "state", "\"running\"");
  RT taken = {0};
  BT_AUTO_FREE char *spec = bt_asprintf("{\"name\":\"%s-life\",\"image\":\"%s\",\"service\":{\"command\":[\"true\"]}}", R.label, R.image);
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = spec};
  rt(&taken, create, &create);
  rt_is(&taken, BT_CONFLICT, "a name that is taken");
  struct berth_runtime_list list = {.size = sizeof list, .label = R.full};
  RT all = {0};
  rt(&all, list, &list);
  is_int(json_array_size(bt_json_arr(all.result, "containers")), 1, "list by label");
  json_t *one = json_array_get(bt_json_arr(all.result, "containers"), 0);
  is_str(bt_json_str(one, "id"), id, "its id");
  is_str(bt_json_str(one, "state"), "running", "its state");
  is_str(bt_json_str(bt_json_obj(one, "labels"), "berth.test"), R.label, "its labels");
  RT unforced = {0};
  container(&unforced, remove, .id = id);
  rt_is(&unforced, BT_CONFLICT, "a running one is not removed without force");
  for (int i = 0; i < 2; i++) {
    RT c = {0};
    container(&c, stop, .id = id, .timeout_ms = 100);
    rt_is(&c, BT_OK, i ? "stop what stands" : "stop");
  }
  seen_is(id, "state", "\"exited\"");
  seen_is(id, "exit_code", "137");
  RT killed = {0};
  container(&killed, kill, .id = id);
  rt_is(&killed, BT_OK, "kill what stands");
  discard(bt_strdup(id));
  RT gone = {0}, again = {0};
  container(&again, remove, .id = id);
  rt_is(&again, BT_OK, "remove what is gone");
  container(&gone, inspect, .id = id);
  rt_is(&gone, BT_NOT_FOUND, "inspect what is gone");
  RT startless = {0};
  container(&startless, start, .id = id);
  rt_is(&startless, BT_NOT_FOUND, "start what is gone");
  RT nobody = {0};
  container(&nobody, remove, .id = "");
  rt_is(&nobody, BT_INVALID, "an empty name");
  free(id);
}

static void test_signals(void) {
  const char *loop = "{\"command\":[\"sh\",\"-c\",\"trap 'exit 7' USR1; trap 'echo hup' HUP; while :; do sleep 0.05; done\"]}";
  char *id = make("signals", loop, NULL);
  start(id);
  run_for(300);
  RT hup = {0};
  container(&hup, kill, .id = id, .signal = "SIGHUP");
  rt_is(&hup, BT_OK, "a signal");
  seen_is(id, "state", "\"running\"");
  RT usr = {0};
  container(&usr, stop, .id = id, .signal = "SIGUSR1", .timeout_ms = 10000);
  rt_is(&usr, BT_OK, "stop with another signal");
  seen_is(id, "exit_code", "7");
  RT late = {0};
  container(&late, kill, .id = id, .signal = "SIGHUP");
  rt_is(&late, BT_CONFLICT, "a signal that cannot arrive is told");
  start(id);
  run_for(200);
  RT deaf = {0};
  container(&deaf, stop, .id = id, .signal = "SIGHUP", .timeout_ms = 300);
  rt_is(&deaf, BT_OK, "stop of one that does not heed the signal");
  seen_is(id, "exit_code", "137");
  discard(id);
}

static void test_failures(void) {
  char *id = make("nocmd", "{\"command\":[\"/does/not/exist\"]}", NULL);
  RT c = {0};
  container(&c, start, .id = id);
  if (rt_has(!R.podman, "the code of a command that is not there", "Podman answers 404, as for a container that is not there; its sentence is tested"))
    rt_is(&c, BT_INVALID, "a command that is not there");
  ok(c.code != BT_OK && strstr(c.message, "exist"), "the sentence names it");
  discard(id);
  RT noimage = {0};
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = "{\"name\":\"rd-x\",\"image\":\"localhost/berth-test/none:1\"}"};
  rt(&noimage, create, &create);
  rt_is(&noimage, BT_NOT_FOUND, "an image that is not there");
  RT nospec = {0};
  create.spec_json = "[";
  rt(&nospec, create, &create);
  rt_is(&nospec, BT_INVALID, "a spec that is none");
  RT old = {0};
  create.spec_json = "{\"name\":\"rd-x\",\"image\":\"i\",\"service\":{\"credential_spec\":{}}}";
  rt(&old, create, &create);
  rt_is(&old, BT_UNSUPPORTED, "an attribute that is not known");
}

static void test_two_networks(void) {
  network("n1", "{\"ipam\":{\"config\":[{\"subnet\":\"10.213.8.0/24\"}]}}", BT_OK, 1, "a first network");
  network("n2", "{\"ipam\":{\"config\":[{\"subnet\":\"10.213.9.0/24\"}]}}", BT_OK, 1, "a second network");
  BT_AUTO_FREE char *both = bt_asprintf("\"networks\":[{\"name\":\"%s-n1\",\"aliases\":[\"web\"],\"ipv4_address\":\"10.213.8.5\",\"mac_address\":\"02:42:0a:d5:08:07\"},"
                                        "{\"name\":\"%s-n2\",\"aliases\":[\"api\"],\"ipv4_address\":\"10.213.9.9\"}]", R.label, R.label);
  char *id = make("nets", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", both);
  start(id);
  inside(id, "ip -o addr | grep -oE '10.213.[89].[0-9]*/' | sort | tr -d '\\n'", "10.213.8.5/10.213.9.9/");
  inside(id, "ip link | grep -c 02:42:0a:d5:08:07", "1");
  BT_AUTO_FREE char *nets = seen(id, "networks");
  BT_AUTO_FREE char *first = own("10.213.8.5");
  BT_AUTO_FREE char *second = own("10.213.9.9");
  ok(strstr(nets, first) && strstr(nets, second) && strstr(nets, "\"web\"") && strstr(nets, "\"api\""), "networks: %s", nets);
  BT_AUTO_FREE char *one = bt_asprintf("\"networks\":[{\"name\":\"%s-n1\"}]", R.label);
  if (rt_has(!R.podman, "names of containers", "Podman 4.3 has names only with a DNS plug-in of its own, a package that is not installed here")) {
    char *other = make("asker", "{\"command\":[\"sleep\",\"600\"]}", one);
    start(other);
    if (R.oci && !sh("[ -e %s/programs/berth-resolver ]", R.dir))
      ok(true, "names of containers # SKIP there is no berth-resolver in this build");
    else
      inside(other, R.oci ? "nslookup web | grep -c 10.213.8.5" : "nslookup web 127.0.0.11 | grep -c 10.213.8.5", "1");
    discard(other);
  }
  discard(id);
  network("n3", "{}", BT_OK, 1, "a network without a subnet of its own");
  BT_AUTO_FREE char *wrong = bt_asprintf("{\"name\":\"%s-half\",\"image\":\"%s\",\"service\":{\"command\":[\"true\"]},"
                                         "\"networks\":[{\"name\":\"%s-n1\"},{\"name\":\"%s-n3\",\"ipv4_address\":\"10.99.0.2\"}]}", R.label, R.image,
                                         R.label, R.label);
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = wrong};
  RT half = {0}, look = {0}, take = {0};
  rt(&half, create, &create);
  if (R.podman) /* it looks at addresses at the start */
    container(&take, remove, .id = half.result ? rt_str(&half, "id") : "none", .force = true);
  if (rt_has(!R.podman, "an address that cannot be on the second network", "Podman looks at addresses at the start"))
    ok(half.code != BT_OK && strstr(half.message, "-n3"), "an address that cannot be on the second network: %s", half.message);
  BT_AUTO_FREE char *name = bt_asprintf("%s-half", R.label);
  container(&look, inspect, .id = name);
  rt_is(&look, BT_NOT_FOUND, "leaves no container behind");
  network_remove("n3", BT_OK, "nor an endpoint");
  BT_AUTO_FREE char *none = bt_asprintf("\"networks\":[{\"name\":\"%s-n1\"},{\"name\":\"%s-none\"}]", R.label, R.label);
  if (rt_has(!R.podman, "a network that is missing at the start", "Podman looks for networks at create")) {
    char *lost = make("lost", "{\"command\":[\"true\"]}", none);
    RT c = {0};
    container(&c, start, .id = lost);
    rt_is(&c, BT_NOT_FOUND, "a network that is missing");
    discard(lost);
  }
  network_remove("n1", BT_OK, "networks are free again");
  network_remove("n2", BT_OK, "both");
}

static void test_ports(void) {
  char *id = make("ports", "{\"command\":[\"sleep\",\"600\"],\"expose\":[\"9\"]}",
                  "\"network_mode\":\"bridge\",\"ports\":[{\"target\":80,\"published\":0,\"host_ip\":\"127.0.0.1\",\"protocol\":\"tcp\"}]");
  start(id);
  RT c = {0};
  container(&c, inspect, .id = id);
  json_t *port = json_array_get(bt_json_arr(c.result, "ports"), 0);
  is_int(bt_json_int(port, "target", 0), 80, "a published port");
  ok(bt_json_int(port, "published", 0) > 0, "any port was chosen: %d", (int)bt_json_int(port, "published", 0));
  is_str(bt_json_str(port, "host_ip"), "127.0.0.1", "on the address asked for");
  BT_AUTO_FREE char *same = bt_asprintf("\"network_mode\":\"bridge\",\"ports\":[{\"target\":80,\"published\":%d,\"host_ip\":\"127.0.0.1\"}]",
                                        (int)bt_json_int(port, "published", 0));
  char *second = make("ports2", "{\"command\":[\"sleep\",\"600\"]}", same);
  RT taken = {0};
  container(&taken, start, .id = second);
  rt_is(&taken, BT_EXHAUSTED, "a port that is taken");
  discard(second);
  discard(id);
}

/* ---------------------------------------------------------------- attributes, as the container sees them */

static void limits_on_engine(const char *id) {
  BT_AUTO_FREE char *limits = sh_line(DOCKER "inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpusetCpus}}' %s", R.socket, id);
  is_str(limits, "67108864 500000000 50 0", "limits on the engine");
  BT_AUTO_FREE char *restart = sh_line(DOCKER "inspect -f '{{.HostConfig.RestartPolicy.Name}}' %s", R.socket, id);
  ok(bt_streq(restart, "") || bt_streq(restart, "no"), "the engine's own restart policy is never set: %s", restart);
}

static void limits_in_cgroup(const char *id) {
  BT_AUTO_FREE char *pid = seen(id, "pid");
  BT_AUTO_FREE char *limits = sh_line("at() { sed -nE \"s,^[0-9]+:([^:]*\\,)?$1(\\,[^:]*)?:,,p\" /proc/%s/cgroup; }; c=/sys/fs/cgroup; if [ -e $c/cgroup.controllers ]; then d=$c$(cut -d: -f3 /proc/%s/cgroup); "
                                      "cd $d && echo $(cat memory.max cpu.max pids.max cpuset.cpus); else "
                                      "echo $(cat $c/memory$(at memory)/memory.limit_in_bytes $c/cpu$(at cpu)/cpu.cfs_quota_us $c/cpu$(at cpu)/cpu.cfs_period_us "
                                      "$c/pids$(at pids)/pids.max $c/cpuset$(at cpuset)/cpuset.cpus); fi", pid, pid);
  is_str(limits, "67108864 50000 100000 50 0", "limits in the control groups");
}

static void test_attributes(void) {
  BT_AUTO_FREE char *profile = bt_asprintf("%s/seccomp.json", R.dir);
  write_file(profile, "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n \"syscalls\": [{\"names\": [\"mkdir\", \"mkdirat\"], \"action\": \"SCMP_ACT_ERRNO\"}]}\n");
  BT_AUTO_FREE char *bound = bt_asprintf("%s/bound", R.dir);
  write_file(bound, "hello");
  BT_AUTO_FREE char *more = bt_asprintf("\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/cache\",\"tmpfs_size\":1048576,\"tmpfs_mode\":511},"
                                        "{\"type\":\"bind\",\"source\":\"%s\",\"target\":\"/bound\",\"read_only\":true}],\"ipc\":\"shareable\"", bound);
  BT_AUTO_FREE char *service = bt_asprintf(
      "{\"command\":[\"600\"],\"entrypoint\":[\"sleep\"],\"environment\":{\"A\":\"x y\",\"PATH\":\"/bin\"},\"user\":\"65534:0\",\"working_dir\":\"/tmp\",\"hostname\":\"h1\","
      "\"dns\":[\"10.9.9.9\"],\"dns_search\":[\"x.example\"],\"dns_opt\":[\"ndots:3\"],\"extra_hosts\":[\"db=10.1.2.3\"],\"cap_add\":[\"NET_ADMIN\"],\"cap_drop\":[\"MKNOD\"],"
      "\"security_opt\":[\"seccomp=%s\",\"no-new-privileges:true\"],\"read_only\":true,\"tmpfs\":[\"/run:size=1m,mode=1777\"],\"shm_size\":\"8388608\","
      "\"ulimits\":{\"nofile\":{\"soft\":512,\"hard\":1048576}},\"sysctls\":{\"net.ipv4.ip_local_port_range\":\"20000 30000\"},\"devices\":[\"/dev/zero:/dev/nix:r\"],"
      "\"init\":true,\"stop_signal\":\"SIGKILL\",\"stop_grace_period\":\"3s\",\"logging\":{\"driver\":\"json-file\",\"options\":{\"max-size\":\"1m\"}},"
      "\"mem_limit\":\"67108864\",\"mem_reservation\":\"33554432\",\"cpus\":0.5,\"cpu_shares\":512,\"cpuset\":\"0\",\"pids_limit\":50,\"group_add\":[\"29\"],"
      "\"device_cgroup_rules\":[\"c 1:5 r\"],\"oom_score_adj\":500,\"uts\":\"\",\"cgroup\":\"private\"}",
      profile);
  char *id = make("attributes", service, more);
  start(id);
  inside(id, "echo $A", "x y");
  inside(id, "id -u; id -G", "65534\n0 29");
  inside(id, "pwd; hostname", "/tmp\nh1");
  inside(id, "cat /etc/resolv.conf | grep -E '^(nameserver|search|options)' | sort | tr '\\n' ' '", "nameserver 10.9.9.9 options ndots:3 search x.example ");
  inside(id, "grep db /etc/hosts | tr '\\t' ' '", "10.1.2.3 db");
  inside(id, "mkdir /run/x 2>&1", "mkdir: can't create directory '/run/x': Operation not permitted");
  inside(id, "touch /x 2>&1; touch /run/y /cache/z && echo fine", "touch: /x: Read-only file system\nfine");
  inside(id, "df -k /dev/shm /run /cache | awk 'NR>1{print $2}' | tr '\\n' ' '", "8192 1024 1024 ");
  inside(id, "awk '/open files/{print $4}' /proc/1/limits", "512"); /* not of an exec: old runc races with Go's own rlimit there */
  inside(id, "cat /proc/sys/net/ipv4/ip_local_port_range | tr '\\t' ' '", "20000 30000");
  inside(id, "head -c 3 /dev/nix | wc -c", "3");
  inside(id, R.oci ? "cat /proc/1/comm | grep -c init; cat /proc/1/oom_score_adj" : "cat /proc/1/comm; cat /proc/1/oom_score_adj", R.oci ? "1\n500" : R.podman ? "podman-init\n500" : "docker-init\n500");
  inside(id, "grep NoNewPrivs /proc/self/status | tr -d '\\t'", "NoNewPrivs:1");
  inside(id, "cat /bound; grep -c ' /bound .*ro' /proc/mounts", "hello1");
  R.oci ? limits_in_cgroup(id) : limits_on_engine(id);
  char *sharer = make("sharer", "{\"command\":[\"sleep\",\"600\"]}", "\"network_mode\":\"none\"");
  start(sharer);
  inside(sharer, "ip -o link | grep -vc 'lo:'", "0");
  discard(sharer);
  BT_AUTO_FREE char *joined = bt_asprintf("\"network_mode\":\"container:%s\",\"pid\":\"container:%s\",\"ipc\":\"container:%s\"", id, id, id);
  char *joiner = make("joiner", "{\"command\":[\"sleep\",\"601\"]}", joined);
  start(joiner);
  inside(joiner, "ps -o args | grep -c '^sleep 60'", "2");
  discard(joiner);
  discard(id);
}

static void test_volumes_from(void) {
  BT_AUTO_FREE char *bound = bt_asprintf("%s/bind:me", R.dir);
  BT_AUTO_FREE char *made = bt_asprintf("%s/made/for/us", R.dir);
  write_file(bound, "there");
  BT_AUTO_FREE char *mounts = bt_asprintf("\"mounts\":[{\"type\":\"bind\",\"source\":\"%s\",\"target\":\"/there\"},"
                                          "{\"type\":\"bind\",\"source\":\"%s\",\"target\":\"/made\",\"create_host_path\":true}]", bound, made);
  char *id = make("owner", "{\"command\":[\"sleep\",\"600\"]}", mounts);
  start(id);
  ok(access(made, F_OK) == 0, "a source that is absent is made where that is asked for");
  BT_AUTO_FREE char *from = bt_asprintf("\"volumes_from\":[\"%s:ro\"]", id);
  char *user = make("from", "{\"command\":[\"sleep\",\"600\"]}", from);
  start(user);
  inside(user, "cat /there; touch /made/x 2>&1", "theretouch: /made/x: Read-only file system");
  discard(user);
  discard(id);
}

static void test_ulimit_warning(void) {
  BT_AUTO_FREE char *spec = bt_asprintf("{\"name\":\"%s-ulimit\",\"image\":\"%s\",\"labels\":{\"berth.test\":\"%s\"},\"service\":{\"command\":[\"true\"],\"ulimits\":{\"nofile\":9999999}}}",
                                        R.label, R.image, R.label);
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = spec};
  RT c = {0};
  rt(&c, create, &create);
  rt_is(&c, BT_OK, "a ulimit over the machine's");
  printf("# warnings: %d\n", (int)json_array_size(bt_json_arr(c.result, "warnings")));
  BT_AUTO_FREE char *id = bt_strdup(rt_str(&c, "id"));
  start(id);
  rt_ended(id); /* Podman refuses to remove, even with force, what is between its end and being known as ended */
  RT gone = {0};
  container(&gone, remove, .id = id, .force = true);
  rt_is(&gone, BT_OK, "it ran");
}

/* ---- other limits while it runs ---- */

static enum bt_code update(const char *id, const char *resources, char **why) {
  RT c = {0};
  struct berth_runtime_update request = {.size = sizeof request, .id = id, .resources_json = resources};
  rt(&c, update, &request);
  if (why)
    *why = bt_strdup(c.message);
  return c.code;
}

static void resources_are(const char *id, double cpus, int64_t memory, int64_t reserved, int64_t pids) {
  RT c = {0};
  container(&c, inspect, .id = id);
  const json_t *r = bt_json_obj(c.result, "resources");
  ok(bt_json_num(r, "cpus", -1) == cpus && bt_json_int(r, "memory", -1) == memory && bt_json_int(r, "memory_reservation", -1) == reserved &&
         bt_json_int(r, "pids", -1) == pids,
     "it has %g cpus, %lld and %lld bytes, %lld pids", bt_json_num(r, "cpus", -1), (long long)bt_json_int(r, "memory", -1),
     (long long)bt_json_int(r, "memory_reservation", -1), (long long)bt_json_int(r, "pids", -1));
  is_str(rt_str(&c, "state"), "running", "and runs");
}

static void test_update(void) {
  BT_AUTO_FREE char *why = NULL;
  is_int(update("berth-test-nobody", "{\"memory\":1}", NULL), BT_NOT_FOUND, "nobody is there");
  is_int(update("x", "[]", NULL), BT_INVALID, "limits are an object");
  char *id = make("update", "{\"command\":[\"sleep\",\"1000\"],\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"33554432\",\"cpus\":0.25}}}}", NULL);
  start(id);
  if (R.podman) {
    is_int(update(id, "{\"memory\":67108864}", NULL), BT_UNSUPPORTED, "this service cannot");
    rt_has(false, "other limits in place", "Podman 4's Docker-compatible service has no request that changes a container; that it is refused is tested");
    discard(id);
    return;
  }
  RT before = {0}, after = {0}, stats = {0};
  container(&before, inspect, .id = id);
  is_int(update(id, "{\"cpus\":0.5,\"memory\":67108864,\"memory_reservation\":16777216,\"pids\":50}", NULL), BT_OK, "more of all");
  resources_are(id, 0.5, 67108864, 16777216, 50);
  container(&stats, stats, .id = id);
  is_int(bt_json_int(stats.result, "memory_limit", 0), 67108864, "the kernel knows");
  is_int(update(id, "{\"cpus\":0.5,\"memory\":67108864}", NULL), BT_OK, "what it has is no change");
  is_int(update(id, "{\"memory\":33554432,\"pids\":0}", NULL), BT_OK, "less of it, and a limit of pids less");
  resources_are(id, 0.5, 33554432, 16777216, 0);
  is_int(update(id, "{\"memory\":0}", NULL), R.oci ? BT_OK : BT_UNSUPPORTED, "no limit of memory at all, which an engine cannot");
  if (R.oci) {
    resources_are(id, 0.5, 0, 16777216, 0);
    is_int(update(id, "{\"memory\":33554432}", NULL), BT_OK, "and one again");
  }
  is_int(update(id, "{\"memory\":4096}", &why), BT_INVALID, "less than is in use is refused");
  ok(why && strstr(why, "MiB of memory now"), "in words: %s", why);
  resources_are(id, 0.5, 33554432, 16777216, 0);
  container(&after, inspect, .id = id);
  is_str(rt_str(&after, "started_at"), rt_str(&before, "started_at"), "all that without a restart");
  discard(id);
  char *idle = make("idle-update", "{\"command\":[\"true\"]}", NULL);
  is_int(update(idle, "{\"memory\":33554432}", NULL), BT_OK, "what does not run yet");
  discard(idle);
}

static void test_stats(void) {
  char *id = make("stats", "{\"command\":[\"sh\",\"-c\",\"while :; do :; done\"],\"mem_limit\":\"33554432\"}", NULL);
  start(id);
  RT c = {0};
  run_for(500);
  container(&c, stats, .id = id);
  rt_is(&c, BT_OK, "stats");
  ok(bt_json_int(c.result, "cpu_ns", 0) > 1000000, "it used %lld ns", (long long)bt_json_int(c.result, "cpu_ns", 0));
  ok(bt_json_int(c.result, "memory", 0) > 0, "%lld bytes of memory", (long long)bt_json_int(c.result, "memory", 0));
  is_int(bt_json_int(c.result, "memory_limit", 0), 33554432, "of its limit");
  ok(bt_json_int(c.result, "pids", 0) >= 1, "pids");
  ok(bt_json_int(c.result, "time_ms", 0) > 1700000000000, "time");
  discard(id);
  char *idle = make("idle", "{\"command\":[\"true\"]}", NULL);
  RT none = {0};
  container(&none, stats, .id = idle);
  rt_is(&none, BT_CONFLICT, "nothing to measure where nothing runs");
  discard(idle);
}

int main(void) {
  if (!rt_setup())
    return skip_all("no container engine answers at /var/run/docker.sock, or docker or busybox-static is missing");
  RUN(test_info);
  RUN(test_image);
  RUN(test_networks);
  RUN(test_volumes);
  RUN(test_life);
  RUN(test_signals);
  RUN(test_failures);
  RUN(test_two_networks);
  RUN(test_ports);
  RUN(test_attributes);
  RUN(test_volumes_from);
  RUN(test_ulimit_warning);
  RUN(test_stats);
  RUN(test_update);
  return rt_finish();
}
