/* runtime-oci's translation: namespaces, limits, devices, mounts, names, and what the monitor is told. */
#include "oci_spec_kit.h"

static void test_namespaces(void) {
  struct kit k;
  kit_begin(&k);
  const char *own = "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"network\",\"path\":\"/berth/netns\"},{\"type\":\"uts\"},{\"type\":\"cgroup\"}]";
  service_is(&k, "\"tty\":false", "linux/namespaces", own);
  spec_is(&k, "{\"pid\":\"private\",\"ipc\":\"shareable\",\"network_mode\":\"none\",\"service\":{\"command\":\"x\",\"cgroup\":\"private\"}}", "linux/namespaces", own);
  spec_is(&k, "{\"pid\":\"host\",\"ipc\":\"host\",\"network_mode\":\"host\",\"service\":{\"command\":\"x\",\"uts\":\"host\",\"cgroup\":\"host\"}}", "linux/namespaces", "[{\"type\":\"mount\"}]");
  spec_refused(&k, "{\"pid\":\"container:abc\",\"service\":{\"command\":\"x\"}}", BERTH_NOT_FOUND, "pid: container abc is not there");
  service_refused(&k, "\"uts\":\"private\"", BERTH_UNSUPPORTED, "uts");
  service_refused(&k, "\"cgroup\":\"odd\"", BERTH_INVALID, "cgroup");
  spec_refused(&k, "{\"ipc\":\"odd\",\"service\":{\"command\":\"x\"}}", BERTH_UNSUPPORTED, "ipc: \"odd\"");
  spec_refused(&k, "{\"network_mode\":\"odd\",\"service\":{\"command\":\"x\"}}", BERTH_UNSUPPORTED, "network_mode: \"odd\"");
  PU_AUTO_JSON others = kit_json("{\"abc\":{\"pid\":42,\"hostname\":\"them\",\"dir\":\"/their\"},\"dead\":{\"pid\":0}}");
  k.in.containers = others;
  spec_is(&k, "{\"pid\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "linux/namespaces/1", "{\"type\":\"pid\",\"path\":\"/proc/42/ns/pid\"}");
  spec_is(&k, "{\"network_mode\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "linux/namespaces/3/path", "\"/proc/42/ns/net\"");
  spec_is(&k, "{\"network_mode\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "hostname", "\"them\"");
  spec_is(&k, "{\"network_mode\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "@network", "{\"mode\":\"path\",\"path\":\"/proc/42/ns/net\"}");
  spec_is(&k, "{\"network_mode\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "mounts/[destination=~1etc~1hosts]/source", "\"/their/hosts\"");
  spec_is(&k, "{\"ipc\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "mounts/[destination=~1dev~1shm]/source", "\"/b/mnt/0\"");
  spec_is(&k, "{\"ipc\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "@binds", "[{\"pid\":42,\"path\":\"/dev/shm\",\"target\":\"/b/mnt/0\"}]");
  spec_refused(&k, "{\"pid\":\"container:dead\",\"service\":{\"command\":\"x\"}}", BERTH_NOT_FOUND, "does not run");
  spec_refused(&k, "{\"network_mode\":\"container:abc\",\"service\":{\"command\":\"x\",\"dns\":[\"1.1.1.1\"]}}", BERTH_INVALID, "dns: with network_mode: service");
  k.in.containers = NULL;
  k.in.trying = true;
  spec_is(&k, "{\"pid\":\"container:abc\",\"service\":{\"command\":\"x\"}}", "linux/namespaces/1/path", "\"/proc/0/ns/pid\"");
}

static void test_users(void) {
  struct kit k;
  kit_begin(&k);
  k.choices.map_uid = 100000;
  k.choices.map_gid = 200000;
  k.choices.map_count = 65536;
  service_is(&k, "\"tty\":false", "linux/uidMappings", "[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]");
  service_is(&k, "\"tty\":false", "linux/gidMappings/0/hostID", "200000");
  service_is(&k, "\"userns_mode\":\"host\"", "linux/uidMappings", NULL);
  service_is(&k, "\"sysctls\":{\"net.a\":\"1\",\"kernel.sem\":\"2\"}", "@sysctls", "{\"net.ipv4.ip_unprivileged_port_start\":\"0\",\"net.a\":\"1\"}");
  service_is(&k, "\"sysctls\":{\"net.a\":\"1\",\"kernel.sem\":\"2\"}", "linux/sysctl", "{\"kernel.sem\":\"2\"}");
  service_refused(&k, "\"privileged\":true", BERTH_INVALID, "privileged needs the machine's own users");
  spec_refused(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\"}}", BERTH_INVALID, "userns_mode: host");
  service_refused(&k, "\"user\":\"70000\"", BERTH_INVALID, "beyond the 65536 users");
  service_refused(&k, "\"userns_mode\":\"keep-id\"", BERTH_UNSUPPORTED, "keep-id");
  k.facts.has &= ~(uint32_t)RO_HAS_USERNS;
  service_refused(&k, "\"tty\":false", BERTH_UNSUPPORTED, "no user namespaces");
}

static void test_sysctls(void) {
  struct kit k;
  kit_begin(&k);
  service_is(&k, "\"sysctls\":{\"net.core.somaxconn\":1024,\"kernel.shmmax\":\"5\"},\"domainname\":\"d\"", "linux/sysctl",
             "{\"net.ipv4.ip_unprivileged_port_start\":\"0\",\"net.ipv4.ping_group_range\":\"0 2147483647\",\"kernel.domainname\":\"d\",\"net.core.somaxconn\":\"1024\",\"kernel.shmmax\":\"5\"}");
  service_is(&k, "\"sysctls\":[\"net/ipv4/ip_forward=1\"]", "linux/sysctl/net.ipv4.ip_forward", "\"1\"");
  service_refused(&k, "\"sysctls\":{\"kernel.panic\":1}", BERTH_INVALID, "kernel.panic is the whole machine's");
  service_refused(&k, "\"sysctls\":{\"kernel.shmmaxx\":1}", BERTH_INVALID, "whole machine's");
  service_refused(&k, "\"sysctls\":{\"net...kernel.panic\":1}", BERTH_INVALID, "no name of a kernel parameter");
  service_refused(&k, "\"sysctls\":{\"net.a b\":1}", BERTH_INVALID, "no name of a kernel parameter");
  spec_refused(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\",\"sysctls\":{\"net.a\":1}}}", BERTH_INVALID, "network namespace, which this container shares");
  spec_refused(&k, "{\"ipc\":\"host\",\"service\":{\"command\":\"x\",\"sysctls\":{\"fs.mqueue.a\":1}}}", BERTH_INVALID, "ipc namespace");
  spec_is(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\"}}", "linux/sysctl", NULL);
  spec_is(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\"}}", "hostname", "\"machine\"");
  service_refused(&k, "\"uts\":\"host\",\"hostname\":\"h\"", BERTH_INVALID, "with uts: host");
  service_refused(&k, "\"hostname\":\"a b\"", BERTH_INVALID, "hostname: \"a b\"");
}

/* ---------------------------------------------------------------- limits */

static void test_memory(void) {
  struct kit k;
  kit_begin(&k);
  service_is(&k, "\"mem_limit\":\"64m\",\"memswap_limit\":\"128m\",\"mem_reservation\":\"32m\",\"mem_swappiness\":10,\"oom_kill_disable\":true", "linux/resources/memory",
             "{\"limit\":67108864,\"reservation\":33554432,\"swap\":134217728,\"swappiness\":10,\"disableOOMKiller\":true}");
  service_is(&k, "\"mem_limit\":\"64m\"", "linux/resources/memory", "{\"limit\":67108864,\"swap\":134217728}");
  service_is(&k, "\"mem_limit\":\"64m\",\"memswap_limit\":-1", "linux/resources/memory/swap", "-1");
  service_is(&k, "\"mem_limit\":\"64m\",\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"48m\"},\"reservations\":{\"memory\":16777216}}}", "linux/resources/memory",
             "{\"limit\":50331648,\"reservation\":16777216,\"swap\":100663296}");
  service_is(&k, "\"tty\":false", "linux/resources/memory", NULL);
  service_refused(&k, "\"mem_limit\":\"1m\"", BERTH_INVALID, "the least is 6m");
  service_refused(&k, "\"mem_limit\":\"64m\",\"memswap_limit\":\"32m\"", BERTH_INVALID, "less than mem_limit");
  service_refused(&k, "\"memswap_limit\":\"32m\"", BERTH_INVALID, "needs mem_limit");
  service_refused(&k, "\"mem_limit\":\"64m\",\"mem_reservation\":\"65m\"", BERTH_INVALID, "mem_reservation");
  service_refused(&k, "\"mem_swappiness\":101", BERTH_INVALID, "between 0 and 100");
  service_refused(&k, "\"mem_limit\":\"lots\"", BERTH_INVALID, "mem_limit: \"lots\" is no number");
  k.facts.cgroup = 2;
  service_warns(&k, "\"mem_swappiness\":5", "mem_swappiness: version 2");
  service_warns(&k, "\"oom_kill_disable\":true", "oom_kill_disable: version 2");
  k.facts.has &= ~(uint32_t)(RO_HAS_SWAP | RO_HAS_MEMORY);
  service_warns(&k, "\"mem_limit\":\"64m\"", "mem_limit: this kernel");
  service_is(&k, "\"mem_limit\":\"64m\"", "linux/resources/memory", NULL);
}

static void test_cpu(void) {
  struct kit k;
  kit_begin(&k);
  service_is(&k, "\"cpus\":0.5,\"cpu_shares\":512,\"cpuset\":\"0-1,3\"", "linux/resources/cpu", "{\"shares\":512,\"period\":100000,\"quota\":50000,\"cpus\":\"0-1,3\"}");
  service_is(&k, "\"cpu_period\":50000,\"cpu_quota\":25000", "linux/resources/cpu", "{\"period\":50000,\"quota\":25000}");
  service_is(&k, "\"cpu_period\":\"50ms\",\"cpu_quota\":-1", "linux/resources/cpu", "{\"period\":50000,\"quota\":-1}");
  service_is(&k, "\"cpus\":2,\"deploy\":{\"resources\":{\"limits\":{\"cpus\":\"0.25\"}}}", "linux/resources/cpu/quota", "25000");
  service_is(&k, "\"cpu_shares\":1", "linux/resources/cpu/shares", "2");
  service_is(&k, "\"cpu_rt_period\":1000000,\"cpu_rt_runtime\":400000", "linux/resources/cpu", "{\"realtimePeriod\":1000000,\"realtimeRuntime\":400000}");
  service_refused(&k, "\"cpus\":8", BERTH_INVALID, "the 4 processors of this machine");
  service_refused(&k, "\"cpus\":1,\"cpu_quota\":5000", BERTH_INVALID, "says the same");
  service_refused(&k, "\"cpus\":\"x\"", BERTH_INVALID, "no number of processors");
  service_refused(&k, "\"cpuset\":\"2-4\"", BERTH_INVALID, "cpuset: 2-4 is not within");
  service_refused(&k, "\"cpuset\":\"a\"", BERTH_INVALID, "cpuset: \"a\" is no list");
  service_refused(&k, "\"cpu_period\":10", BERTH_INVALID, "cpu_period");
  service_warns(&k, "\"cpu_percent\":10", "cpu_percent has an effect on Windows");
  k.facts.has = RO_HAS_SECCOMP;
  service_warns(&k, "\"cpus\":1", "cpus: this kernel");
}

static void test_rest(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON found = kit_json("{\"devices\":{\"/dev/loop0\":{\"type\":\"b\",\"major\":7,\"minor\":0,\"mode\":432},\"/dev/null\":{\"type\":\"c\",\"major\":1,\"minor\":3,\"mode\":438},"
                                "\"/dev/snd\":{\"nodes\":{\"/dev/snd/a\":{\"type\":\"c\",\"major\":116,\"minor\":1,\"mode\":432,\"gid\":29}}}}}");
  k.in.found = found;
  service_is(&k, "\"pids_limit\":44", "linux/resources/pids", "{\"limit\":44}");
  service_is(&k, "\"pids_limit\":-1", "linux/resources/pids", NULL);
  service_is(&k, "\"blkio_config\":{\"weight\":300,\"weight_device\":[{\"path\":\"/dev/loop0\",\"weight\":200}],\"device_read_bps\":[{\"path\":\"/dev/loop0\",\"rate\":\"1mb\"}],"
             "\"device_write_iops\":[{\"Path\":\"/dev/loop0\",\"Rate\":70}]}", "linux/resources/blockIO",
             "{\"weight\":300,\"weightDevice\":[{\"major\":7,\"minor\":0,\"weight\":200}],\"throttleReadBpsDevice\":[{\"major\":7,\"minor\":0,\"rate\":1048576}],"
             "\"throttleWriteIOPSDevice\":[{\"major\":7,\"minor\":0,\"rate\":70}]}");
  service_refused(&k, "\"blkio_config\":{\"device_read_bps\":[{\"path\":\"/dev/null\",\"rate\":1}]}", BERTH_INVALID, "/dev/null is no block device");
  service_refused(&k, "\"blkio_config\":{\"weight\":3}", BERTH_INVALID, "between 10 and 1000");
  service_is(&k, "\"devices\":[\"/dev/null:/dev/x:r\"]", "linux/devices", "[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":438,\"uid\":0,\"gid\":0}]");
  service_is(&k, "\"devices\":[{\"source\":\"/dev/null\",\"target\":\"/dev/y\"}]", "linux/resources/devices/12", "{\"allow\":true,\"access\":\"rwm\",\"type\":\"c\",\"major\":1,\"minor\":3}");
  service_is(&k, "\"devices\":[\"/dev/snd:/dev/sound\"]", "linux/devices/0/path", "\"/dev/sound/a\"");
  service_refused(&k, "\"devices\":[\"/dev/none\"]", BERTH_INVALID, "/dev/none is no device");
  service_refused(&k, "\"devices\":[\"/dev/null:/dev/x:q\"]", BERTH_INVALID, "letters of \"rwm\"");
  service_refused(&k, "\"devices\":[\"nvidia.com/gpu=all\"]", BERTH_UNSUPPORTED, "CDI");
  service_refused(&k, "\"gpus\":\"all\"", BERTH_UNSUPPORTED, "gpus: runtime-oci has no driver");
  service_refused(&k, "\"deploy\":{\"resources\":{\"reservations\":{\"devices\":[{}]}}}", BERTH_UNSUPPORTED, "reservations.devices");
  service_is(&k, "\"device_cgroup_rules\":[\"c 1:* mr\"]", "linux/resources/devices/12", "{\"allow\":true,\"access\":\"mr\",\"type\":\"c\",\"major\":1}");
  service_refused(&k, "\"device_cgroup_rules\":[\"c 1:3\"]", BERTH_INVALID, "no rule such as");
  service_refused(&k, "\"device_cgroup_rules\":[\"d 1:3 r\"]", BERTH_INVALID, "no rule such as");
  service_is(&k, "\"cgroup_parent\":\"x/../y\"", "linux/cgroupsPath", "\"/y/" KIT_ID "\"");
  service_is(&k, "\"tty\":false", "@cgroup", "\"/berth/" KIT_ID "\"");
}

/* ---------------------------------------------------------------- mounts */

#define MOUNT(text) "{\"mounts\":[" text "],\"service\":{\"command\":\"x\"}}"

static void test_mounts(void) {
  struct kit k;
  kit_begin(&k);
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"read_only\":true,\"create_host_path\":true}"), "mounts/[destination=~1t]",
          "{\"destination\":\"/t\",\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"rbind\",\"ro\",\"rprivate\"]}");
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"create_host_path\":true}"), "@make", "[\"/s\"]");
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"propagation\":\"rshared\"}"), "@propagation", "\"shared\"");
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"propagation\":\"rslave\"}"), "linux/rootfsPropagation", "\"rslave\"");
  spec_is(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\"}"), "mounts/[destination=~1t]/source", "\"/v/v/_data\"");
  spec_is(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\"}"), "@copy_up", "[{\"source\":\"/t\",\"target\":\"/v/v/_data\"}]");
  spec_is(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\",\"nocopy\":true}"), "@copy_up", NULL);
  spec_is(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\",\"subpath\":\"a/b\"}"), "@binds", "[{\"root\":\"/v/v/_data\",\"path\":\"a/b\",\"target\":\"/b/mnt/0\"}]");
  spec_is(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\",\"subpath\":\"a/b\"}"), "mounts/[destination=~1t]/source", "\"/b/mnt/0\"");
  spec_is(&k, MOUNT("{\"type\":\"tmpfs\",\"target\":\"/t\",\"tmpfs_size\":4096,\"tmpfs_mode\":\"1777\"}"), "mounts/[destination=~1t]/options",
          "[\"nosuid\",\"nodev\",\"noexec\",\"size=4096\",\"mode=1777\"]");
  spec_is(&k, MOUNT("{\"type\":\"tmpfs\",\"target\":\"/dev/shm\"},{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/a/b\"},{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/a\"}"), "mounts/7/destination",
          "\"/etc/hostname\"");
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/a/b\"},{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/a/\"}"), "mounts/10/destination", "\"/a\"");
  spec_is(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/etc/hosts\"}"), "mounts/[destination=~1etc~1hosts]/source", "\"/s\"");
  spec_refused(&k, MOUNT("{\"type\":\"bind\",\"source\":\"s\",\"target\":\"/t\"}"), BERTH_INVALID, "lacks an absolute source");
  spec_refused(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/\"}"), BERTH_INVALID, "lacks a target");
  spec_refused(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/x/../proc/self\"}"), BERTH_INVALID, "/proc is the kernel's");
  spec_refused(&k, MOUNT("{\"type\":\"npipe\",\"source\":\"/s\",\"target\":\"/t\"}"), BERTH_UNSUPPORTED, "type npipe");
  spec_refused(&k, MOUNT("{\"type\":\"volume\",\"source\":\"../v\",\"target\":\"/t\"}"), BERTH_INVALID, "no name of a volume");
  spec_refused(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\",\"subpath\":\"a/../../b\"}"), BERTH_INVALID, "leads out of the volume");
  spec_refused(&k, MOUNT("{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t\",\"subpath\":\"/b\"}"), BERTH_INVALID, "leads out of the volume");
  spec_refused(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"propagation\":\"odd\"}"), BERTH_INVALID, "propagation");
  service_refused(&k, "\"tmpfs\":[\"/t:evil=1\"]", BERTH_INVALID, "\"evil=1\" is no option of a tmpfs");
  kit_warns(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"selinux\":\"z\"}"), "no SELinux", __FILE__, __LINE__);
  k.facts.has |= RO_HAS_SELINUX;
  spec_refused(&k, MOUNT("{\"type\":\"bind\",\"source\":\"/s\",\"target\":\"/t\",\"selinux\":\"z\"}"), BERTH_UNSUPPORTED, "relabels no files");
}

static void test_volumes(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON image = kit_json("{\"config\":{\"Volumes\":{\"/data\":{},\"/t\":{}},\"Cmd\":[\"x\"]}}");
  PU_AUTO_JSON spec = kit_json("{\"mounts\":[{\"type\":\"volume\",\"target\":\"/anon\"},{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/t/\"}]}");
  k.in.image = image;
  k.in.spec = spec;
  struct ro_spec once, twice;
  ok(ro_spec_translate(&k.in, &once) && ro_spec_translate(&k.in, &twice), "volumes of the spec and of the image");
  PU_AUTO_JSON volumes = json_incref(once.volumes);
  PU_AUTO_JSON again = json_incref(twice.volumes);
  ro_spec_free(&once);
  ro_spec_free(&twice);
  is_int(json_array_size(volumes), 3, "the spec's two and the image's one");
  ok(json_equal(volumes, again) && strlen(pu_str(json_array_get(volumes, 0), "name")) == 64 && pu_bool(json_array_get(volumes, 0), "anonymous", false), "anonymous ones have the same name each time");
  ok(!pu_eq(pu_str(json_array_get(volumes, 0), "name"), pu_str(json_array_get(volumes, 2), "name")), "and each its own");
  k.in.spec = NULL;
  PU_AUTO_JSON others = json_pack("{s:{s:i,s:O,s:O}}", "abc", "pid", 1, "spec", spec, "image", image);
  k.in.containers = others;
  k.in.image = NULL;
  spec_is(&k, "{\"volumes_from\":[\"abc:ro\"],\"service\":{\"command\":\"x\"}}", "mounts/[destination=~1t]/options", "[\"rbind\",\"ro\",\"rprivate\"]");
  spec_is(&k, "{\"volumes_from\":[\"abc\"],\"mounts\":[{\"type\":\"bind\",\"source\":\"/mine\",\"target\":\"/t\"}],\"service\":{\"command\":\"x\"}}", "mounts/[destination=~1t]/source", "\"/mine\"");
  spec_refused(&k, "{\"volumes_from\":[\"none\"],\"service\":{\"command\":\"x\"}}", BERTH_NOT_FOUND, "volumes_from: container none");
}

/* ---------------------------------------------------------------- texts, monitor */

static void text_is(struct kit *k, const char *spec_text, bool hosts, const char *want) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  struct ro_spec out;
  k->in.spec = spec;
  bool done = ro_spec_translate(&k->in, &out);
  const char *text = hosts ? out.hosts : out.resolv, *tail = hosts && text && !out.host_network ? strstr(text, "allrouters\n") : NULL;
  is_str(done ? tail ? tail + 11 : text : out.why, want, spec_text);
  ro_spec_free(&out);
  k->in.spec = NULL;
}

static void test_texts(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON addresses = kit_json("[\"10.89.0.5\"]");
  PU_AUTO_JSON gateways = kit_json("[\"10.89.0.1\"]");
  PU_AUTO_JSON resolvers = kit_json("[\"10.89.0.1\"]");
  k.in.addresses = addresses;
  k.in.gateways = gateways;
  k.in.host_resolv = "# c\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver fe80::1%eth0\nsearch a.b c.d\noptions edns0\n";
  k.in.host_hosts = "127.0.0.1 localhost";
  text_is(&k, SERVICE("\"hostname\":\"h\",\"domainname\":\"d.e\",\"extra_hosts\":[\"a=10.0.0.1\",\"b:10.0.0.2\",\"c=[::1]\",\"g=host-gateway\"]"), true,
          "10.0.0.1\ta\n10.0.0.2\tb\n::1\tc\n10.89.0.1\tg\n10.89.0.5\th.d.e h\n");
  text_is(&k, SERVICE("\"extra_hosts\":{\"a\":[\"10.0.0.1\",\"::1\"]},\"hostname\":\"h\""), true, "10.0.0.1\ta\n::1\ta\n10.89.0.5\th\n");
  text_is(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\",\"extra_hosts\":[\"g=host-gateway\"]}}", true, "127.0.0.1 localhost\n127.0.0.1\tg\n10.89.0.5\tmachine\n");
  text_is(&k, SERVICE("\"tty\":false"), false, "nameserver 9.9.9.9\nsearch a.b c.d\noptions edns0\n");
  text_is(&k, SERVICE("\"dns\":\"1.1.1.1\",\"dns_search\":\".\",\"dns_opt\":[\"ndots:1\"]"), false, "nameserver 1.1.1.1\noptions ndots:1\n");
  text_is(&k, "{\"network_mode\":\"host\",\"service\":{\"command\":\"x\"}}", false, "nameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver fe80::1%eth0\nsearch a.b c.d\noptions edns0\n");
  service_refused(&k, "\"dns\":[\"one\"]", BERTH_INVALID, "dns: \"one\" is no address");
  service_refused(&k, "\"dns_search\":[\"a\\nnameserver 6.6.6.6\"]", BERTH_INVALID, "no word of resolv.conf");
  service_refused(&k, "\"extra_hosts\":[\"a b=10.0.0.1\"]", BERTH_INVALID, "\"a b\" is no name");
  service_refused(&k, "\"extra_hosts\":[\"a=10.0.0\"]", BERTH_INVALID, "no address");
  k.in.resolvers = resolvers;
  text_is(&k, SERVICE("\"dns\":[\"1.1.1.1\"]"), false, "nameserver 10.89.0.1\nsearch a.b c.d\noptions ndots:0\n");
  k.in.gateways = NULL;
  service_refused(&k, "\"extra_hosts\":[\"g=host-gateway\"]", BERTH_INVALID, "no network with a gateway");
}

static void health_is(struct kit *k, const char *spec_text, const char *want) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  struct ro_spec out;
  k->in.spec = spec;
  bool done = ro_spec_translate(&k->in, &out);
  PU_AUTO_FREE got = done ? out.health ? pu_json_text(out.health) : pu_strdup("none") : pu_strdup(out.why);
  is_str(got, want, spec_text);
  ro_spec_free(&out);
  k->in.spec = NULL;
}

static void stop_is(struct kit *k, const char *spec_text, const char *signal, int64_t ms) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  struct ro_spec out;
  k->in.spec = spec;
  ok(ro_spec_translate(&k->in, &out) && pu_eq(out.stop_signal, signal) && out.stop_ms == ms, "%s: %s", signal, spec_text);
  ro_spec_free(&out);
  k->in.spec = NULL;
}

static void test_monitor(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON image = kit_json("{\"StopSignal\":\"SIGINT\",\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"],\"Interval\":5000000000,\"Retries\":7}}");
  PU_AUTO_JSON runtimes = kit_json("{\"runc\":[\"/usr/sbin/runc\"]}");
  service_is(&k, "\"tty\":true,\"stdin_open\":true", "@tty", "true");
  service_is(&k, "\"tty\":true", "process/terminal", "true");
  service_is(&k, "\"tty\":false", "@log", "{\"path\":\"/c/log\",\"max_size\":10485760,\"max_files\":3}");
  service_is(&k, "\"logging\":{\"driver\":\"json-file\",\"options\":{\"max-size\":\"1m\",\"max-file\":\"2\"}}", "@log", "{\"path\":\"/c/log\",\"max_size\":1048576,\"max_files\":2}");
  service_is(&k, "\"logging\":{\"driver\":\"none\"}", "@log", "null");
  service_refused(&k, "\"logging\":{\"driver\":\"syslog\"}", BERTH_UNSUPPORTED, "logging.driver: \"syslog\"");
  service_refused(&k, "\"logging\":{\"options\":{\"tag\":\"x\"}}", BERTH_UNSUPPORTED, "logging.options.tag");
  service_refused(&k, "\"logging\":{\"options\":{\"max-file\":\"0\"}}", BERTH_INVALID, "max-file");
  service_refused(&k, "\"runtime\":\"runc\"", BERTH_UNSUPPORTED, "runtime: \"runc\"");
  k.choices.runtimes = runtimes;
  service_is(&k, "\"runtime\":\"runc\"", "@runtime", "[\"/usr/sbin/runc\"]");
  stop_is(&k, SERVICE("\"tty\":false"), "SIGTERM", 10000);
  stop_is(&k, SERVICE("\"stop_signal\":\"usr1\",\"stop_grace_period\":\"1m30s\""), "SIGUSR1", 90000);
  stop_is(&k, SERVICE("\"stop_signal\":\"9\""), "SIGKILL", 10000);
  stop_is(&k, SERVICE("\"stop_signal\":\"RTMIN+3\""), "37", 10000);
  service_refused(&k, "\"stop_signal\":\"SIGNONE\"", BERTH_INVALID, "no signal \"SIGNONE\"");
  health_is(&k, SERVICE("\"tty\":false"), "none");
  health_is(&k, SERVICE("\"healthcheck\":{\"test\":\"true\",\"timeout\":\"1s\"}"),
            "{\"test\":[\"CMD-SHELL\",\"true\"],\"interval_ms\":30000,\"timeout_ms\":1000,\"start_period_ms\":0,\"start_interval_ms\":5000,\"retries\":3}");
  k.in.image = image;
  stop_is(&k, SERVICE("\"tty\":false"), "SIGINT", 10000);
  health_is(&k, SERVICE("\"healthcheck\":{\"retries\":2}"),
            "{\"test\":[\"CMD\",\"a\"],\"interval_ms\":5000,\"timeout_ms\":30000,\"start_period_ms\":0,\"start_interval_ms\":5000,\"retries\":2}");
  health_is(&k, SERVICE("\"healthcheck\":{\"disable\":true}"), "none");
  health_is(&k, SERVICE("\"healthcheck\":{\"test\":[\"NONE\"]}"), "none");
}

/* ---------------------------------------------------------------- properties */

static void test_unknown(void) {
  struct kit k;
  kit_begin(&k);
  service_refused(&k, "\"colour\":\"red\"", BERTH_UNSUPPORTED, "the service attribute colour is not supported");
  service_is(&k, "\"x-mine\":1,\"colour\":null", "process/args", "[\"x\"]");
  service_refused(&k, "\"storage_opt\":{\"size\":\"1G\",\"colour\":\"red\"}", BERTH_UNSUPPORTED, "storage_opt.colour is not supported by runtime-oci, which knows size");
  service_refused(&k, "\"storage_opt\":{\"size\":\"1k\"}", BERTH_INVALID, "storage_opt.size: the least is 1m");
  service_refused(&k, "\"storage_opt\":{\"size\":\"big\"}", BERTH_INVALID, "no number");
  service_is(&k, "\"storage_opt\":{\"size\":\"1G\"}", "process/args", "[\"x\"]");
  service_refused(&k, "\"isolation\":\"hyperv\"", BERTH_UNSUPPORTED, "isolation");
  service_refused(&k, "\"annotations\":{\"run.oci.hooks\":\"x\"}", BERTH_INVALID, "an order to the OCI runtime");
  spec_is(&k, "{\"labels\":{\"berth.app\":\"a\"},\"service\":{\"command\":\"x\",\"annotations\":{\"k\":\"v\"}}}", "annotations", "{\"berth.app\":\"a\",\"k\":\"v\"}");
  spec_refused(&k, "[]", BERTH_INVALID, "no JSON object");
}

/* An image's lists are bounded, however long they are. */
static void test_absurd(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON many = json_pack("{s:[s],s:[]}", "Cmd", "x", "Env");
  for (int i = 0; i < 100000; i++)
    json_array_append_new(json_object_get(many, "Env"), json_string("A=1"));
  k.in.image = many;
  spec_refused(&k, "{\"service\":{}}", BERTH_INVALID, "Env has 100000 entries");
  PU_AUTO_FREE large = pu_calloc(1, 200001);
  memset(large, 'a', 200000);
  PU_AUTO_JSON one = json_pack("{s:[s]}", "Cmd", large);
  k.in.image = one;
  spec_refused(&k, "{\"service\":{}}", BERTH_INVALID, "an entry of Cmd has 200000 bytes");
  large[100000] = '\0';
  PU_AUTO_JSON sum = json_pack("{s:[]}", "Entrypoint");
  for (int i = 0; i < 20; i++)
    json_array_append_new(json_object_get(sum, "Entrypoint"), json_string(large));
  k.in.image = sum;
  spec_refused(&k, "{\"service\":{}}", BERTH_INVALID, "Entrypoint has 2000000 bytes");
}

int main(void) {
  test_namespaces();
  test_users();
  test_sysctls();
  test_memory();
  test_cpu();
  test_rest();
  test_mounts();
  test_volumes();
  test_texts();
  test_monitor();
  test_unknown();
  test_absurd();
  return done_testing();
}
