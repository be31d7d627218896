local function bind(source)
  return { image = "x", volumes = { { type = "bind", source = source, target = "/mnt" } } }
end

return {
  { name = "a plain service", service = { image = "x", cap_add = { "NET_BIND_SERVICE" }, volumes = {
    { type = "volume", source = "data", target = "/data" }, { type = "bind", source = "/srv/site", target = "/site" } } } },
  { name = "privileged", service = { image = "x", privileged = true }, deny = "is privileged" },
  { name = "not privileged, said aloud", service = { image = "x", privileged = false } },
  { name = "the host's network", service = { image = "x", network_mode = "host" }, deny = "network_mode is \"host\"" },
  { name = "the host's processes", service = { image = "x", pid = "host" }, deny = "pid" },
  { name = "another service's network is fine", service = { image = "x", network_mode = "service:db" } },
  { name = "a capability", service = { image = "x", cap_add = { "CAP_SYS_ADMIN" } }, deny = "SYS_ADMIN" },
  { name = "in small letters", service = { image = "x", cap_add = { "sys_admin" } }, deny = "SYS_ADMIN" },
  { name = "no seccomp", service = { image = "x", security_opt = { "seccomp:unconfined" } }, deny = "turns off protection" },
  { name = "a disk", service = { image = "x", devices = { { source = "/dev/sda", target = "/dev/sda" } } }, deny = "/dev/sda" },
  { name = "the engine's socket", service = bind("/var/run/docker.sock"), deny = "root on the node" },
  { name = "Berth's own socket", service = bind("/run/berth/berth.sock"), deny = "root on the node" },
  { name = "or the folder it lies in", service = bind("/run/berth"), deny = "/run/berth" },
  { name = "devices by rule", service = { image = "x", device_cgroup_rules = { "b *:* rmw" } }, deny = "device_cgroup_rules" },
  { name = "a privileged hook", service = { image = "x", post_start = { { command = { "sh" }, privileged = true } } }, deny = "privileged hook" },
  { name = "a plain hook", service = { image = "x", pre_stop = { { command = { "sync" } } } } },
  { name = "a disk as a volume", app = { services = {}, volumes = { v = { driver_opts = { type = "ext4", device = "/dev/vda1" } } } },
    deny = "ext4" },
  { name = "an overlay over a folder of the node",
    app = { services = {}, volumes = { v = { driver_opts = { type = "overlay", device = "overlay", o = "lowerdir=/etc:/srv" } } } }, deny = "overlay" },
  { name = "spelt otherwise", service = bind("/var/./run//x/../docker.sock"), deny = "root on the node" },
  { name = "in the short form", service = { image = "x", volumes = { "/run/docker.sock:/s:ro" } }, deny = "root on the node" },
  { name = "the whole node", service = bind("/"), deny = "mounts / of the node" },
  { name = "its passwords", service = bind("/etc/shadow"), deny = "/etc/shadow" },
  { name = "a name that only looks alike", service = bind("/etcetera") },
  { name = "those we trust", service = { image = "x", privileged = true, volumes = { "/:/host" } }, context = { namespace = "system" } },
  { name = "a bind mount in disguise",
    app = { services = { a = { image = "x" } },
            volumes = { v = { driver = "local", driver_opts = { type = "none", o = "bind", device = "/etc" } } } },
    deny = "mounts /etc of the node" },
  { name = "a network file system", app = { services = {}, volumes = { v = { driver_opts = { type = "nfs", o = "addr=10.0.0.1", device = ":/x" } } } } },
}
