/* What the translation makes is taken by the real OCI runtime, and acts: seen from inside the container. */
#include "oci_run.h"

static void test_process(struct run *r) {
  r->image = json_pack("{s:{s:[s,s],s:s}}", "config", "Env", "PATH=/bin", "FROM=image", "WorkingDir", "/tmp/deep/er");
  inside_is(r, "\"hostname\":\"named\",\"domainname\":\"example.org\"", "hostname; cat /proc/sys/kernel/domainname", "named\nexample.org");
  inside_is(r, "\"environment\":{\"OWN\":\"1\"},\"hostname\":\"h\"", "echo $PATH $FROM $OWN $HOSTNAME $HOME", "/bin image 1 h /root");
  inside_is(r, "", "pwd", "/tmp/deep/er");
  inside_is(r, "\"user\":\"12:34\",\"group_add\":[\"56\"],\"working_dir\":\"/tmp\"", "id -u; id -G; pwd", "12\n34 56\n/tmp");
  inside_is(r, "\"ulimits\":{\"nofile\":{\"soft\":100,\"hard\":200},\"nproc\":333}",
            "sed -nE 's/^Max (open files|processes) +([0-9]+) +([0-9]+).*/\\2 \\3/p' /proc/self/limits", "333 333\n100 200");
  inside_is(r, "\"oom_score_adj\":300", "cat /proc/self/oom_score_adj", "300");
  inside_is(r, "", "echo $$", "1");
  RAN clamped = run_shell(r, "\"ulimits\":{\"nofile\":1000000000}", "ulimit -Hn");
  ok(clamped.code == 0 && strstr(clamped.warnings, "is cut to"), "a limit over ours, or the machine's, is cut, and that is told: %s", clamped.warnings);
  if (r->facts.init)
    inside_has(r, "\"init\":true", "cat /proc/1/cmdline | tr '\\0' ' '", "/sbin/docker-init -- sh -c");
  RAN code = run_shell(r, "", "exit 7");
  is_int(code.code, 7, "the exit code");
}

static void test_security(struct run *r) {
  inside_is(r, "", "sed -n 's/^Cap\\(Eff\\|Bnd\\|Inh\\|Amb\\):.//p' /proc/self/status | tr '\\n' ' '", "0000000000000000 00000000a80425fb 00000000a80425fb 0000000000000000 ");
  inside_is(r, "\"cap_drop\":[\"ALL\"],\"cap_add\":[\"NET_RAW\",\"CAP_CHOWN\"]", "sed -n 's/^CapBnd:.//p' /proc/self/status", "0000000000002001");
  inside_is(r, "\"user\":\"5\"", "sed -n 's/^CapEff:.//p' /proc/self/status", "0000000000000000");
  inside_is(r, "\"security_opt\":[\"no-new-privileges:true\"]", "sed -n 's/^NoNewPrivs:.//p;s/^Seccomp:.//p' /proc/self/status | tr '\\n' ' '", "1 2 ");
  inside_is(r, "\"security_opt\":[\"seccomp=unconfined\"]", "sed -n 's/^Seccomp:.//p' /proc/self/status", "0");
  inside_has(r, "", "unshare -U true 2>&1", "Operation not permitted");
  inside_has(r, "", "mount -t tmpfs none /tmp 2>&1", "ermi");
  inside_has(r, "\"cap_add\":[\"SYS_ADMIN\"],\"security_opt\":[\"apparmor=unconfined\"]", "mount -t tmpfs none /tmp && echo mounted", "mounted");
  inside_is(r, "", "cat /proc/keys /proc/timer_list /proc/interrupts /proc/kcore 2>/dev/null | wc -c; ls /proc/scsi /sys/firmware 2>/dev/null | grep -v :", "0");
  inside_has(r, "", "echo 1 >/proc/sys/kernel/panic", "Read-only");
  inside_has(r, "\"read_only\":true", "touch /x", "Read-only");
  inside_is(r, "\"read_only\":true,\"tmpfs\":[\"/run:size=1m,mode=1777\",\"/scratch\"]",
            "touch /scratch/x && stat -f -c '%T %b' /run; stat -c %a /run; grep ' /run ' /proc/mounts | grep -o nosuid,nodev,noexec", "tmpfs 256\n1777\nnosuid,nodev,noexec");
  inside_is(r, "\"shm_size\":\"8m\"", "stat -f -c %b /dev/shm", "2048");
  inside_is(r, "\"privileged\":true,\"security_opt\":[\"apparmor=unconfined\"]", "sed -n 's/^Seccomp:.//p' /proc/self/status; touch /proc/sys/kernel/panic && echo open", "0\nopen");
  inside_is(r, "", "ls /dev | grep -v core | sort | tr '\\n' ' '", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ");
}

/* Reads a file of the container's own control group, from inside, in whichever layout. */
#define GROUP(v1, v2) "cat /sys/fs/cgroup/" v1 " 2>/dev/null || cat /sys/fs/cgroup/" v2

static void test_resources(struct run *r) {
  bool v1 = r->facts.cgroup == 1;
  inside_is(r, "\"mem_limit\":\"64m\",\"memswap_limit\":\"128m\"", GROUP("memory/memory.limit_in_bytes", "memory.max"), "67108864");
  inside_is(r, "\"mem_limit\":\"64m\",\"memswap_limit\":\"128m\"", GROUP("memory/memory.memsw.limit_in_bytes", "memory.swap.max"), v1 ? "134217728" : "67108864");
  inside_is(r, "\"mem_limit\":\"64m\",\"mem_reservation\":\"32m\"", GROUP("memory/memory.soft_limit_in_bytes", "memory.low"), "33554432");
  inside_is(r, "\"cpus\":0.5", GROUP("cpu/cpu.cfs_quota_us", "cpu.max"), v1 ? "50000" : "50000 100000");
  inside_is(r, "\"cpu_period\":50000,\"cpu_quota\":25000", GROUP("cpu/cpu.cfs_quota_us", "cpu.max"), v1 ? "25000" : "25000 50000");
  inside_is(r, "\"cpu_shares\":512", GROUP("cpu/cpu.shares", "cpu.weight"), v1 ? "512" : "20");
  inside_is(r, "\"pids_limit\":44", GROUP("pids/pids.max", "pids.max"), "44");
  inside_is(r, "\"deploy\":{\"resources\":{\"limits\":{\"cpus\":\"0.25\",\"memory\":\"48m\",\"pids\":33}}}", GROUP("pids/pids.max", "pids.max"), "33");
  inside_has(r, "\"cpuset\":\"0\"", "grep Cpus_allowed_list /proc/self/status", "\t0\n");
  if (r->facts.has & RO_HAS_OOM_CONTROL)
    inside_has(r, "\"oom_kill_disable\":true,\"mem_limit\":\"64m\"", "cat /sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 1");
  if (r->facts.has & RO_HAS_SWAPPINESS)
    inside_is(r, "\"mem_swappiness\":10", "cat /sys/fs/cgroup/memory/memory.swappiness", "10");
  inside_has(r, "\"mem_limit\":\"64m\"", "echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes || echo 1 >/sys/fs/cgroup/memory.max", "Read-only");
  if (access("/dev/loop0", F_OK) == 0 && v1)
    inside_is(r, "\"blkio_config\":{\"device_read_bps\":[{\"path\":\"/dev/loop0\",\"rate\":\"1mb\"}]}", "cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device", "7:0 1048576");
}

static void test_devices(struct run *r) {
  inside_is(r, "\"devices\":[\"/dev/null:/dev/melted:r\"]", "stat -c '%F %t,%T' /dev/melted", "character special file 1,3");
  if (access("/dev/fuse", F_OK) != 0)
    return;
  inside_has(r, "", "mknod /tmp/f c 10 229; (: </tmp/f); rm /tmp/f", "not permitted");
  inside_is(r, "\"device_cgroup_rules\":[\"c 10:229 rwm\"]", "mknod /tmp/f c 10 229; (: </tmp/f) && echo opened; rm /tmp/f", "opened");
}

static void test_spaces(struct run *r) {
  char want[200];
  inside_is(r, "\"sysctls\":{\"net.ipv4.ip_default_ttl\":77,\"kernel.msgmax\":9000}", "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax", "77\n9000");
  inside_is(r, "", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/class/net", "0\nlo");
  inside_is(r, "", "cat /proc/self/cgroup | sed 's/.*://' | sort -u", "/");
  snprintf(want, sizeof want, "/%s", r->parent + 1);
  inside_has(r, "\"cgroup\":\"host\"", "cat /proc/self/cgroup", want);
  char uts[64] = "";
  if (readlink("/proc/self/ns/uts", uts, sizeof uts - 1) > 0)
    inside_is(r, "\"uts\":\"host\"", "readlink /proc/self/ns/uts", uts);
  RAN host = run_spec(r, "{\"pid\":\"host\",\"ipc\":\"host\",\"network_mode\":\"host\",\"service\":{\"command\":[\"sh\",\"-c\",\"readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc\"]}}");
  char pid[64] = "", ipc[64] = "";
  if (readlink("/proc/self/ns/pid", pid, sizeof pid - 1) > 0 && readlink("/proc/self/ns/ipc", ipc, sizeof ipc - 1) > 0)
    ok(strstr(host.out, pid) && strstr(host.out, ipc), "pid, ipc: host: %s", host.out);
}

static void test_mounts(struct run *r) {
  char want[200];
  PU_AUTO_FREE folder = pu_asprintf("%s/bound", r->dir);
  PU_AUTO_FREE file = pu_asprintf("%s/bound/file", r->dir);
  PU_AUTO_FREE volume = pu_asprintf("%s/volumes/kept", r->dir);
  PU_AUTO_FREE data = pu_asprintf("%s/volumes/kept/_data", r->dir);
  mkdir(folder, 0755);
  write_text(file, "bound\n");
  mkdir(volume, 0755);
  mkdir(data, 0755);
  PU_AUTO_FREE spec = pu_asprintf("{\"mounts\":[{\"type\":\"volume\",\"source\":\"kept\",\"target\":\"/data\"},{\"type\":\"bind\",\"source\":\"%s\",\"target\":\"/data/bound\",\"read_only\":true},"
                                  "{\"type\":\"tmpfs\",\"target\":\"/ram\",\"tmpfs_size\":1048576,\"tmpfs_mode\":\"1700\"}],"
                                  "\"service\":{\"command\":[\"sh\",\"-c\",\"cat /data/bound/file; touch /data/mine; touch /data/bound/x 2>&1; stat -c %%a /ram; stat -f -c %%b /ram\"]}}",
                                  folder);
  RAN ran = run_spec(r, spec);
  snprintf(want, sizeof want, "bound\ntouch: /data/bound/x: Read-only file system\n1700\n256\n");
  is_str(ran.out, want, "a volume, a read-only bind below it, a tmpfs");
  PU_AUTO_FREE mine = pu_asprintf("%s/mine", data);
  ok(access(mine, F_OK) == 0, "what was written to the volume is in it");
  inside_is(r, "\"extra_hosts\":[\"one=10.1.2.3\",\"six:fd00::1\"],\"dns\":[\"10.9.8.7\"],\"dns_search\":[\"corp.example\"],\"dns_opt\":[\"ndots:3\"],\"hostname\":\"me\"",
            "grep -E 'one|six' /etc/hosts; cat /etc/resolv.conf /etc/hostname", "10.1.2.3\tone\nfd00::1\tsix\nnameserver 10.9.8.7\nsearch corp.example\noptions ndots:3\nme");
}

static void test_users(struct run *r) {
  if (!(r->facts.has & RO_HAS_USERNS))
    return;
  /* The root file system is not shifted here, so what runs must be readable by everybody: it is. */
  r->choices.map_uid = r->choices.map_gid = 400000;
  r->choices.map_count = 65536;
  chmod(r->dir, 0755);
  inside_is(r, "", "cat /proc/self/uid_map | tr -s ' '; id -u", " 0 400000 65536\n0");
  inside_is(r, "\"userns_mode\":\"host\"", "head -n 1 /proc/self/uid_map | tr -s ' '", " 0 0 4294967295");
  r->choices.map_count = 0;
}

static void test_all(const char *runtime) {
  struct run r;
  const char *why = run_cannot(runtime);
  printf("# %s%s%s\n", runtime, why ? ": skipped: " : "", why ? why : "");
  if (why)
    return;
  run_begin(&r, runtime);
  test_process(&r);
  test_security(&r);
  test_resources(&r);
  test_devices(&r);
  test_spaces(&r);
  test_mounts(&r);
  test_users(&r);
  run_end(&r);
}

int main(void) {
  static const char *const runtimes[] = {"/usr/bin/crun", "/usr/sbin/runc"};
  const char *asked = getenv("OCI_RUNTIME"), *first = run_cannot(runtimes[0]);
  if (asked) {
    test_all(asked);
    return done_testing();
  }
  if (first && run_cannot(runtimes[1]))
    return skip_all(first);
  for (size_t i = 0; i < PU_COUNT(runtimes); i++)
    test_all(runtimes[i]);
  return done_testing();
}
