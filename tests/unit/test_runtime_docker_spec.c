/* runtime-docker: from Berth's create spec to the Engine's create request. */
#include "config.h"

#include "../../plugins/runtime-docker/spec.h"
#include "../../plugins/runtime-docker/util.h"
#include "tap.h"

static bool limit_nofile(const void *arg, const char *name, int64_t *hard) {
  (void)arg;
  *hard = 20000;
  return strcmp(name, "nofile") == 0;
}

static json_t *read_json(const char *text) {
  json_error_t e;
  json_t *v = json_loads(text, JSON_DECODE_ANY, &e);
  if (!v)
    printf("# the test's own JSON is wrong: %s at %d: %s\n", e.text, e.position, text);
  return v;
}

/* Follows "HostConfig/Memory" or "Ports/80~1tcp" (~1 is a slash). */
static json_t *at(json_t *v, const char *path) {
  PU_AUTO_FREE copy = pu_strdup(path);
  char *save = NULL;
  for (char *p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
    char *tilde = strstr(p, "~1");
    if (tilde) {
      *tilde = '/';
      memmove(tilde + 1, tilde + 2, strlen(tilde + 2) + 1);
    }
    v = json_is_array(v) ? json_array_get(v, (size_t)atoi(p)) : json_object_get(v, p);
  }
  return v;
}

/* Translates a spec whose service is the given text, and compares one member of the request. */
static void service_is(int api, const char *service, const char *path, const char *want) {
  PU_AUTO_FREE text = pu_asprintf("{\"name\":\"c\",\"image\":\"i\",\"service\":%s}", service);
  PU_AUTO_JSON spec = read_json(text);
  PU_AUTO_JSON expected = want ? read_json(want) : NULL;
  struct rd_spec_env env = {.api = api, .hard_limit = limit_nofile};
  struct rd_spec out;
  bool done = rd_spec_translate(&env, spec, &out);
  json_t *got = at(out.body, path);
  if (!ok(done && (want ? json_equal(got, expected) : got == NULL), "%s: %s", path, service)) {
    PU_AUTO_FREE shown = pu_json_text(got ? got : out.body);
    printf("#  got: %s\n# want: %s\n#  why: %s\n", shown, want ? want : "nothing", out.why ? out.why : "");
  }
  rd_spec_free(&out);
}

static void spec_is(int api, const char *text, const char *path, const char *want) {
  PU_AUTO_JSON spec = read_json(text);
  PU_AUTO_JSON expected = want ? read_json(want) : NULL;
  struct rd_spec_env env = {.api = api};
  struct rd_spec out;
  bool done = rd_spec_translate(&env, spec, &out);
  json_t *got = at(out.body, path);
  if (!ok(done && (want ? json_equal(got, expected) : got == NULL), "%s: %s", path, text)) {
    PU_AUTO_FREE shown = pu_json_text(got ? got : out.body);
    printf("#  got: %s\n# want: %s\n#  why: %s\n", shown, want ? want : "nothing", out.why ? out.why : "");
  }
  rd_spec_free(&out);
}

static void refused(int api, const char *text, enum berth_code code, const char *part) {
  PU_AUTO_JSON spec = read_json(text);
  struct rd_spec_env env = {.api = api};
  struct rd_spec out;
  bool done = rd_spec_translate(&env, spec, &out);
  ok(!done && out.code == code && out.why && strstr(out.why, part), "refused: %s: %s", text, out.why ? out.why : "(nothing)");
  rd_spec_free(&out);
}

static void test_config(void) {
  service_is(141, "{}", "Image", "\"i\"");
  service_is(141, "{\"command\":[\"a\",\"b\"]}", "Cmd", "[\"a\",\"b\"]");
  service_is(141, "{\"command\":null}", "Cmd", NULL);
  service_is(141, "{\"entrypoint\":[]}", "Entrypoint", "[\"\"]");
  service_is(141, "{\"entrypoint\":[\"/x\"]}", "Entrypoint", "[\"/x\"]");
  service_is(141, "{\"environment\":{\"A\":\"1\",\"B\":null,\"C\":true,\"D\":0.1}}", "Env", "[\"A=1\",\"B\",\"C=true\",\"D=0.1\"]");
  service_is(141, "{\"user\":\"1:2\"}", "User", "\"1:2\"");
  service_is(141, "{\"working_dir\":\"/w\"}", "WorkingDir", "\"/w\"");
  service_is(141, "{\"hostname\":\"h\",\"domainname\":\"d\"}", "Domainname", "\"d\"");
  service_is(141, "{\"tty\":true}", "Tty", "true");
  service_is(141, "{\"stdin_open\":true}", "OpenStdin", "true");
  service_is(141, "{\"stop_signal\":\"SIGINT\"}", "StopSignal", "\"SIGINT\"");
  service_is(141, "{\"stop_grace_period\":\"1m30s\"}", "StopTimeout", "90");
  service_is(141, "{\"stop_grace_period\":\"1.5s\"}", "StopTimeout", "2");
  service_is(141, "{\"healthcheck\":{\"test\":[\"CMD\",\"true\"],\"interval\":\"10s\",\"timeout\":\"500ms\",\"retries\":3,\"start_period\":\"1m\"}}",
             "Healthcheck",
             "{\"Test\":[\"CMD\",\"true\"],\"Interval\":10000000000,\"Timeout\":500000000,\"Retries\":3,\"StartPeriod\":60000000000}");
  service_is(141, "{\"healthcheck\":{\"disable\":true}}", "Healthcheck/Test", "[\"NONE\"]");
  service_is(141, "{\"healthcheck\":{\"test\":\"true\"}}", "Healthcheck/Test", "[\"CMD-SHELL\",\"true\"]");
  service_is(144, "{\"healthcheck\":{\"start_interval\":\"2s\"}}", "Healthcheck/StartInterval", "2000000000");
  spec_is(141, "{\"image\":\"i\",\"labels\":{\"berth.app\":\"x\",\"n\":1}}", "Labels", "{\"berth.app\":\"x\",\"n\":\"1\"}");
}

static void test_host(void) {
  service_is(141, "{\"cap_add\":[\"NET_ADMIN\"]}", "HostConfig/CapAdd", "[\"NET_ADMIN\"]");
  service_is(141, "{\"cap_drop\":[\"ALL\"]}", "HostConfig/CapDrop", "[\"ALL\"]");
  service_is(141, "{\"privileged\":true}", "HostConfig/Privileged", "true");
  service_is(141, "{\"dns\":[\"1.1.1.1\"],\"dns_opt\":[\"ndots:1\"],\"dns_search\":\"x.y\"}", "HostConfig/DnsSearch", "[\"x.y\"]");
  service_is(141, "{\"extra_hosts\":[\"a=10.0.0.1\",\"b:10.0.0.2\",\"c=[::1]\"]}", "HostConfig/ExtraHosts",
             "[\"a:10.0.0.1\",\"b:10.0.0.2\",\"c:::1\"]");
  service_is(141, "{\"extra_hosts\":{\"a\":[\"10.0.0.1\",\"::1\"]}}", "HostConfig/ExtraHosts", "[\"a:10.0.0.1\",\"a:::1\"]");
  service_is(141, "{\"security_opt\":[\"no-new-privileges:true\",\"label=disable\",\"seccomp:unconfined\"]}", "HostConfig/SecurityOpt",
             "[\"no-new-privileges=true\",\"label=disable\",\"seccomp=unconfined\"]");
  service_is(141, "{\"security_opt\":[\"systempaths=unconfined\"]}", "HostConfig/MaskedPaths", "[]");
  service_is(141, "{\"read_only\":true}", "HostConfig/ReadonlyRootfs", "true");
  service_is(141, "{\"tmpfs\":[\"/run\",\"/tmp:size=64m,mode=1777\"]}", "HostConfig/Tmpfs", "{\"/run\":\"\",\"/tmp\":\"size=64m,mode=1777\"}");
  service_is(141, "{\"shm_size\":\"67108864\"}", "HostConfig/ShmSize", "67108864");
  service_is(141, "{\"sysctls\":{\"net.core.somaxconn\":\"1024\"}}", "HostConfig/Sysctls", "{\"net.core.somaxconn\":\"1024\"}");
  service_is(141, "{\"sysctls\":[\"a.b=1\"]}", "HostConfig/Sysctls", "{\"a.b\":\"1\"}");
  service_is(141, "{\"devices\":[\"/dev/null:/dev/x:r\",{\"source\":\"/dev/zero\",\"target\":\"/dev/z\",\"permissions\":\"rw\"}]}", "HostConfig/Devices",
             "[{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":\"/dev/x\",\"CgroupPermissions\":\"r\"},"
             "{\"PathOnHost\":\"/dev/zero\",\"PathInContainer\":\"/dev/z\",\"CgroupPermissions\":\"rw\"}]");
  service_is(144, "{\"devices\":[\"nvidia.com/gpu=all\"]}", "HostConfig/DeviceRequests", "[{\"Driver\":\"cdi\",\"DeviceIDs\":[\"nvidia.com/gpu=all\"]}]");
  service_is(141, "{\"init\":true}", "HostConfig/Init", "true");
  service_is(141, "{\"logging\":{\"driver\":\"json-file\",\"options\":{\"max-size\":\"1m\",\"max-file\":3}}}", "HostConfig/LogConfig",
             "{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"1m\",\"max-file\":\"3\"}}");
  service_is(141, "{\"uts\":\"host\",\"userns_mode\":\"host\",\"cgroup\":\"private\"}", "HostConfig/CgroupnsMode", "\"private\"");
  service_is(141, "{\"uts\":\"host\"}", "HostConfig/UTSMode", "\"host\"");
  service_is(141, "{\"userns_mode\":\"host\"}", "HostConfig/UsernsMode", "\"host\"");
  service_is(141, "{\"cgroup_parent\":\"/x\"}", "HostConfig/CgroupParent", "\"/x\"");
  service_is(141, "{\"group_add\":[\"audio\",20]}", "HostConfig/GroupAdd", "[\"audio\",\"20\"]");
  service_is(141, "{\"runtime\":\"runc\"}", "HostConfig/Runtime", "\"runc\"");
  service_is(141, "{\"storage_opt\":{\"size\":\"1G\"}}", "HostConfig/StorageOpt", "{\"size\":\"1G\"}");
  service_is(141, "{\"device_cgroup_rules\":[\"c 1:3 mr\"]}", "HostConfig/DeviceCgroupRules", "[\"c 1:3 mr\"]");
  service_is(141, "{\"oom_kill_disable\":true,\"oom_score_adj\":-5}", "HostConfig/OomScoreAdj", "-5");
  service_is(143, "{\"annotations\":{\"a\":\"b\"}}", "HostConfig/Annotations", "{\"a\":\"b\"}");
  service_is(141, "{\"annotations\":{}}", "HostConfig/Annotations", NULL);
}

static void test_seccomp(void) {
  PU_AUTO_JSON spec = read_json("{\"image\":\"i\",\"service\":{\"security_opt\":[\"seccomp=/p.json\",\"apparmor=x\"]}}");
  PU_AUTO_JSON files = rd_spec_files(spec);
  is_int(json_array_size(files), 1, "one file is needed");
  is_str(json_string_value(json_array_get(files, 0)), "/p.json", "the profile's");
  PU_AUTO_JSON contents = read_json("{\"/p.json\":\"{ \\\"defaultAction\\\": \\\"SCMP_ACT_ALLOW\\\" }\"}");
  struct rd_spec_env env = {.api = 141, .files = contents};
  struct rd_spec out;
  ok(rd_spec_translate(&env, spec, &out), "a profile is taken in");
  is_str(json_string_value(at(out.host, "SecurityOpt/0")), "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "its content, compact");
  rd_spec_free(&out);
  PU_AUTO_JSON broken = read_json("{\"/p.json\":\"nonsense\"}");
  env.files = broken;
  ok(!rd_spec_translate(&env, spec, &out) && strstr(out.why, "/p.json"), "a broken profile is named: %s", out.why);
  rd_spec_free(&out);
}

static void test_limits(void) {
  service_is(141, "{\"mem_limit\":\"536870912\"}", "HostConfig/Memory", "536870912");
  service_is(141, "{\"mem_reservation\":\"64m\"}", "HostConfig/MemoryReservation", "67108864");
  service_is(141, "{\"memswap_limit\":\"-1\"}", "HostConfig/MemorySwap", "-1");
  service_is(141, "{\"mem_swappiness\":\"60\"}", "HostConfig/MemorySwappiness", "60");
  service_is(141, "{\"cpus\":0.5}", "HostConfig/NanoCpus", "500000000");
  service_is(141, "{\"cpus\":\"1.25\"}", "HostConfig/NanoCpus", "1250000000");
  service_is(141, "{\"cpu_quota\":50000,\"cpu_period\":\"100ms\"}", "HostConfig/CpuPeriod", "100000");
  service_is(141, "{\"cpu_quota\":\"50ms\"}", "HostConfig/CpuQuota", "50000");
  service_is(141, "{\"cpu_quota\":-1}", "HostConfig/CpuQuota", "-1");
  service_is(141, "{\"cpu_shares\":512,\"cpuset\":\"0,1\"}", "HostConfig/CpusetCpus", "\"0,1\"");
  service_is(141, "{\"cpu_rt_runtime\":\"400ms\"}", "HostConfig/CpuRealtimeRuntime", "400000");
  service_is(141, "{\"pids_limit\":100}", "HostConfig/PidsLimit", "100");
  service_is(141, "{\"mem_limit\":\"1m\",\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"50M\",\"cpus\":\"0.25\",\"pids\":7},"
                  "\"reservations\":{\"memory\":\"20M\"}}}}", "HostConfig",
             "{\"Memory\":52428800,\"MemoryReservation\":20971520,\"NanoCpus\":250000000,\"PidsLimit\":7}");
  service_is(141, "{\"blkio_config\":{\"weight\":300,\"weight_device\":[{\"path\":\"/dev/sda\",\"weight\":400}],"
                  "\"device_read_bps\":[{\"path\":\"/dev/sdb\",\"rate\":\"12mb\"}],\"device_write_iops\":[{\"path\":\"/dev/sdb\",\"rate\":30}]}}",
             "HostConfig",
             "{\"BlkioWeight\":300,\"BlkioWeightDevice\":[{\"Path\":\"/dev/sda\",\"Weight\":400}],"
             "\"BlkioDeviceReadBps\":[{\"Path\":\"/dev/sdb\",\"Rate\":12582912}],\"BlkioDeviceWriteIOps\":[{\"Path\":\"/dev/sdb\",\"Rate\":30}]}");
  service_is(141, "{\"ulimits\":{\"nproc\":65535,\"core\":{\"soft\":0,\"hard\":-1}}}", "HostConfig/Ulimits",
             "[{\"Name\":\"nproc\",\"Soft\":65535,\"Hard\":65535},{\"Name\":\"core\",\"Soft\":0,\"Hard\":-1}]");
  service_is(141, "{\"ulimits\":{\"nofile\":{\"soft\":1024,\"hard\":1048576}}}", "HostConfig/Ulimits",
             "[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":20000}]");
  service_is(141, "{\"ulimits\":{\"nofile\":-1}}", "HostConfig/Ulimits", "[{\"Name\":\"nofile\",\"Soft\":20000,\"Hard\":20000}]");
  service_is(141, "{\"gpus\":\"all\"}", "HostConfig/DeviceRequests",
             "[{\"Driver\":\"\",\"Count\":-1,\"DeviceIDs\":[],\"Capabilities\":[[\"gpu\"]],\"Options\":{}}]");
  service_is(141, "{\"deploy\":{\"resources\":{\"reservations\":{\"devices\":[{\"driver\":\"nvidia\",\"count\":2,\"capabilities\":[\"gpu\",\"utility\"]}]}}}}",
             "HostConfig/DeviceRequests",
             "[{\"Driver\":\"nvidia\",\"Count\":2,\"DeviceIDs\":[],\"Capabilities\":[[\"gpu\",\"utility\"]],\"Options\":{}}]");
}

static void test_clamp_warning(void) {
  PU_AUTO_JSON spec = read_json("{\"image\":\"i\",\"service\":{\"ulimits\":{\"nofile\":65535},\"cpu_percent\":50}}");
  struct rd_spec_env env = {.api = 141, .hard_limit = limit_nofile};
  struct rd_spec out;
  ok(rd_spec_translate(&env, spec, &out), "a ulimit over the machine's is no error");
  is_int(json_array_size(out.warnings), 2, "but a warning, as is what only Windows knows");
  ok(strstr(json_string_value(json_array_get(out.warnings, 1)), "20000"), "it names the limit: %s",
     json_string_value(json_array_get(out.warnings, 1)));
  rd_spec_free(&out);
  env.podman = true;
  PU_AUTO_JSON plain = read_json("{\"image\":\"i\"}");
  ok(rd_spec_translate(&env, plain, &out), "Podman raises limits by itself");
  is_int(json_integer_value(at(out.host, "Ulimits/0/Hard")), 20000, "unless they are given");
  rd_spec_free(&out);
  PU_AUTO_JSON other = read_json("{\"image\":\"i\",\"service\":{\"security_opt\":[\"seccomp=/p.json\"]},\"networks\":[{\"name\":\"a\"},{\"name\":\"b\",\"mac_address\":\"02:00:00:00:00:01\"}]}");
  ok(rd_spec_translate(&env, other, &out), "Podman takes all networks at create");
  is_str(json_string_value(at(out.body, "NetworkingConfig/EndpointsConfig/b/MacAddress")), "02:00:00:00:00:01", "with their MAC addresses");
  is_str(json_string_value(at(out.host, "SecurityOpt/0")), "seccomp=/p.json", "and the name of a seccomp profile");
  rd_spec_free(&out);
}

static void test_mounts(void) {
  spec_is(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/v\",\"read_only\":true,\"nocopy\":true}]}", "HostConfig/Mounts",
          "[{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/v\",\"ReadOnly\":true,\"VolumeOptions\":{\"NoCopy\":true}}]");
  spec_is(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\",\"propagation\":\"rslave\"}]}", "HostConfig/Mounts",
          "[{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"BindOptions\":{\"Propagation\":\"rslave\"}}]");
  spec_is(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\",\"create_host_path\":true,\"read_only\":true,\"selinux\":\"z\"}]}",
          "HostConfig/Binds", "[\"/a:/b:ro,z\"]");
  spec_is(142, "{\"image\":\"i\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/a:c\",\"target\":\"/b\",\"create_host_path\":true}]}", "HostConfig/Mounts",
          "[{\"Type\":\"bind\",\"Source\":\"/a:c\",\"Target\":\"/b\",\"BindOptions\":{\"CreateMountpoint\":true}}]");
  spec_is(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"tmpfs\",\"target\":\"/t\",\"tmpfs_size\":1024,\"tmpfs_mode\":\"1777\"}]}", "HostConfig/Tmpfs",
          "{\"/t\":\"size=1024,mode=1777\"}");
  spec_is(145, "{\"image\":\"i\",\"mounts\":[{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/v\",\"subpath\":\"a/b\"}]}", "HostConfig/Mounts/0/VolumeOptions",
          "{\"Subpath\":\"a/b\"}");
  spec_is(141, "{\"image\":\"i\",\"volumes_from\":[\"abc:ro\"],\"pid\":\"host\",\"ipc\":\"shareable\"}", "HostConfig",
          "{\"VolumesFrom\":[\"abc:ro\"],\"PidMode\":\"host\",\"IpcMode\":\"shareable\"}");
}

static void test_ports(void) {
  const char *spec = "{\"image\":\"i\",\"service\":{\"expose\":[\"9000\",\"53/udp\",\"10-12\"]},\"ports\":[{\"target\":80,\"published\":8080,\"host_ip\":\"127.0.0.1\"},"
                     "{\"target\":80,\"published\":\"8081\"},{\"target\":53,\"published\":0,\"protocol\":\"udp\"}]}";
  spec_is(141, spec, "HostConfig/PortBindings",
          "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"},{\"HostIp\":\"\",\"HostPort\":\"8081\"}],"
          "\"53/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}");
  spec_is(141, spec, "ExposedPorts", "{\"9000/tcp\":{},\"53/udp\":{},\"10/tcp\":{},\"11/tcp\":{},\"12/tcp\":{},\"80/tcp\":{}}");
}

static void test_networks(void) {
  const char *two = "{\"image\":\"i\",\"service\":{\"external_links\":[\"old:db\"]},\"networks\":[{\"name\":\"n1\",\"aliases\":[\"web\"],\"ipv4_address\":\"10.1.0.2\",\"mac_address\":\"02:42:ac:11:00:09\"},"
                    "{\"name\":\"n2\",\"link_local_ips\":[\"169.254.1.1\"],\"driver_opts\":{\"a\":\"b\"}}]}";
  spec_is(141, two, "HostConfig/NetworkMode", "\"n1\"");
  spec_is(141, two, "NetworkingConfig/EndpointsConfig",
          "{\"n1\":{\"Aliases\":[\"web\"],\"Links\":[\"old:db\"],\"IPAMConfig\":{\"IPv4Address\":\"10.1.0.2\"}}}");
  spec_is(141, two, "MacAddress", "\"02:42:ac:11:00:09\"");
  spec_is(144, two, "MacAddress", NULL);
  spec_is(144, two, "NetworkingConfig/EndpointsConfig/n1/MacAddress", "\"02:42:ac:11:00:09\"");
  spec_is(144, two, "NetworkingConfig/EndpointsConfig/n2",
          "{\"Links\":[\"old:db\"],\"DriverOpts\":{\"a\":\"b\"},\"IPAMConfig\":{\"LinkLocalIPs\":[\"169.254.1.1\"]}}");
  PU_AUTO_JSON spec = read_json(two);
  struct rd_spec_env env = {.api = 141};
  struct rd_spec out;
  ok(rd_spec_translate(&env, spec, &out), "two networks");
  is_int(json_array_size(out.connects), 1, "an old engine connects the second after create");
  is_str(pu_str(json_array_get(out.connects, 0), "network"), "n2", "that one");
  rd_spec_free(&out);
  spec_is(141, "{\"image\":\"i\",\"network_mode\":\"container:abc\"}", "HostConfig/NetworkMode", "\"container:abc\"");
  spec_is(141, "{\"image\":\"i\",\"network_mode\":\"none\"}", "NetworkingConfig", NULL);
}

static void test_refusals(void) {
  refused(141, "{\"name\":\"c\"}", BERTH_INVALID, "image");
  refused(141, "{\"image\":\"i\",\"service\":{\"credential_spec\":{\"file\":\"x\"}}}", BERTH_UNSUPPORTED, "credential_spec");
  refused(141, "{\"image\":\"i\",\"service\":{\"annotations\":{\"a\":\"b\"}}}", BERTH_UNSUPPORTED, "1.43");
  refused(141, "{\"image\":\"i\",\"service\":{\"healthcheck\":{\"start_interval\":\"1s\"}}}", BERTH_UNSUPPORTED, "1.44");
  refused(141, "{\"image\":\"i\",\"service\":{\"stop_grace_period\":\"soon\"}}", BERTH_INVALID, "soon");
  refused(141, "{\"image\":\"i\",\"service\":{\"mem_limit\":\"much\"}}", BERTH_INVALID, "much");
  refused(141, "{\"image\":\"i\",\"service\":{\"cpus\":\"few\"}}", BERTH_INVALID, "few");
  refused(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/v\",\"subpath\":\"a\"}]}", BERTH_UNSUPPORTED, "1.45");
  refused(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"npipe\",\"source\":\"v\",\"target\":\"/v\"}]}", BERTH_UNSUPPORTED, "npipe");
  refused(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"bind\",\"target\":\"/v\"}]}", BERTH_INVALID, "source");
  refused(141, "{\"image\":\"i\",\"mounts\":[{\"type\":\"bind\",\"source\":\"/a:b\",\"target\":\"/v\",\"create_host_path\":true}]}", BERTH_INVALID, "colon");
  refused(141, "{\"image\":\"i\",\"ports\":[{\"published\":1}]}", BERTH_INVALID, "target");
  refused(141, "{\"image\":\"i\",\"networks\":[{\"name\":\"a\"},{\"name\":\"b\",\"mac_address\":\"02:00:00:00:00:01\"}]}", BERTH_UNSUPPORTED, "1.44");
  refused(141, "{\"image\":\"i\",\"service\":{\"devices\":[\"vendor.com/x=y\"]}}", BERTH_UNSUPPORTED, "CDI");
  refused(141, "[]", BERTH_INVALID, "object");
}

/* ---- other limits for what is there ---- */

static void update_is(const char *host_text, const char *wanted_text, const char *want) {
  PU_AUTO_JSON host = read_json(host_text);
  PU_AUTO_JSON wanted = read_json(wanted_text);
  PU_AUTO_JSON expected = read_json(want);
  PU_AUTO_FREE why = NULL;
  enum berth_code code = BERTH_OK;
  PU_AUTO_JSON got = rd_update_body(host, wanted, &code, &why);
  PU_AUTO_FREE shown = got ? pu_json_text(got) : pu_strdup(why);
  ok(json_equal(got, expected), "%s over %s: %s", wanted_text, host_text, shown);
}

static void update_refused(const char *host_text, const char *wanted_text, enum berth_code want, const char *words) {
  PU_AUTO_JSON host = read_json(host_text);
  PU_AUTO_JSON wanted = read_json(wanted_text);
  PU_AUTO_FREE why = NULL;
  enum berth_code code = BERTH_OK;
  PU_AUTO_JSON got = rd_update_body(host, wanted, &code, &why);
  ok(!got && code == want && strstr(why, words), "%s over %s: %s", wanted_text, host_text, why ? why : "taken");
}

static void test_update(void) {
  update_is("{}", "{}", "{}");
  update_is("{\"Memory\":100,\"MemorySwap\":200}", "{\"memory\":100}", "{}");
  update_is("{\"Memory\":100,\"MemorySwap\":200}", "{\"memory\":300}", "{\"Memory\":300,\"MemorySwap\":600}");
  update_is("{\"Memory\":100,\"MemorySwap\":200}", "{\"memory\":50}", "{\"Memory\":50,\"MemorySwap\":100}");
  update_is("{\"Memory\":100,\"MemorySwap\":-1}", "{\"memory\":300}", "{\"Memory\":300,\"MemorySwap\":-1}");
  update_is("{\"Memory\":100,\"MemorySwap\":350}", "{\"memory\":300}", "{\"Memory\":300,\"MemorySwap\":350}");
  update_is("{\"Memory\":0,\"MemorySwap\":0}", "{\"memory\":300}", "{\"Memory\":300,\"MemorySwap\":600}");
  update_is("{\"Memory\":100}", "{\"memory\":9000000000000000000}", "{\"Memory\":9000000000000000000,\"MemorySwap\":-1}");
  update_is("{\"NanoCpus\":500000000,\"PidsLimit\":null}", "{\"cpus\":0.5,\"pids\":0}", "{}");
  update_is("{\"NanoCpus\":500000000,\"PidsLimit\":-1}", "{\"cpus\":1.5,\"pids\":7}", "{\"NanoCpus\":1500000000,\"PidsLimit\":7}");
  update_is("{\"PidsLimit\":7}", "{\"pids\":0}", "{\"PidsLimit\":0}");
  update_is("{\"MemoryReservation\":7}", "{\"memory_reservation\":9}", "{\"MemoryReservation\":9}");
  update_refused("{\"Memory\":100,\"MemorySwap\":150}", "{\"memory\":300}", BERTH_INVALID, "memswap_limit");
  update_refused("{\"Memory\":100}", "{\"memory\":0}", BERTH_UNSUPPORTED, "no limit of memory away");
  update_refused("{\"NanoCpus\":5}", "{\"cpus\":0}", BERTH_UNSUPPORTED, "no limit of cpus away");
  update_refused("{\"MemoryReservation\":5}", "{\"memory_reservation\":0}", BERTH_UNSUPPORTED, "reserved memory");
}

int main(void) {
  test_update();
  test_config();
  test_host();
  test_seccomp();
  test_limits();
  test_clamp_warning();
  test_mounts();
  test_ports();
  test_networks();
  test_refusals();
  return done_testing();
}
