-- Keeps containers in their box: no privileged mode, no namespaces of the host, no way to the engine's socket, no mounts of
-- folders that rule the machine. Namespaces listed here may do it all the same.
local trusted = { "system" }

local dangerous_capabilities = { "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "PERFMON",
                                 "SYS_BOOT", "SYS_TIME", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "CHECKPOINT_RESTORE" }
local sockets = { "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                  "/run/berth/berth.sock", "/var/run/berth/berth.sock" }
local folders = { "/", "/var", "/var/lib", "/home" }
-- with all that is in them
local trees = { "/etc", "/root", "/boot", "/proc", "/sys", "/dev", "/run", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
                "/var/run", "/var/lib/berth", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/spool" }
-- The node's memory and disks, whichever name they go by.
local disks = { "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sd", "/dev/hd", "/dev/vd", "/dev/xvd", "/dev/nvme", "/dev/mmcblk",
                "/dev/md", "/dev/dm-", "/dev/mapper", "/dev/disk", "/dev/block", "/dev/loop", "/dev/nbd", "/dev/rbd", "/dev/zram", "/dev/sg",
                "/dev/bsg", "/dev/root" }
-- Kinds of volume that hold no file system of the node.
local foreign = { "nfs", "nfs4", "cifs", "smb3", "tmpfs" }

-- "/a//b/./c/../d/" -> "/a/b/d", so that no other spelling slips through
local function clean(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then
      table.remove(parts)
    elseif part ~= "." then
      table.insert(parts, part)
    end
  end
  return "/" .. table.concat(parts, "/")
end

local function check_mount(source)
  local path = clean(source)
  if contains(sockets, path) then
    deny("mounts " .. path .. ": who has it is root on the node")
    return
  end
  local bad = contains(folders, path)
  for _, tree in ipairs(trees) do
    bad = bad or path == tree or starts_with(path, tree .. "/")
  end
  if bad then
    deny("mounts " .. path .. " of the node")
  end
end

local function check_volume(volume)
  if type(volume) == "string" then -- the short form; a loader makes it long, a hand-made request may not
    local source = volume:match("^(/[^:]*):")
    if source then
      check_mount(source)
    end
  elseif volume.type == "bind" and volume.source then
    check_mount(volume.source)
  end
end

local function check_device(source)
  if type(source) ~= "string" or source:sub(1, 1) ~= "/" then -- a device by its kind
    return
  end
  local path = clean(source:match("^[^:]*"))
  local bad = path == "/dev" or not starts_with(path, "/dev/")
  for _, disk in ipairs(disks) do
    bad = bad or starts_with(path, disk)
  end
  if bad then
    deny("takes the device " .. path)
  end
end

local function check_hooks(hooks)
  for _, hook in ipairs(hooks or {}) do
    if hook.privileged then
      deny("has a privileged hook")
    end
  end
end

return {
  name = "no-privileged",
  description = "no privileged containers, host namespaces, engine sockets or system folders",

  validate_service = function(svc, ctx)
    if contains(trusted, ctx.namespace) then
      return
    end
    if svc.privileged then
      deny("is privileged: grant single capabilities with cap_add")
    end
    for _, key in ipairs { "network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup" } do
      if svc[key] == "host" then
        deny(key .. " is \"host\": it shares the node's own")
      elseif starts_with(svc[key] or "", "container:") then
        deny(key .. " is \"" .. svc[key] .. "\": that container may be another's; say service:NAME")
      end
    end
    for _, capability in ipairs(svc.cap_add or {}) do
      local plain = capability:upper():gsub("^CAP_", "")
      if contains(dangerous_capabilities, plain) then
        deny("adds the capability " .. plain)
      end
    end
    for _, option in ipairs(svc.security_opt or {}) do
      local profile = option:match("^seccomp[=:](.*)")
      if option:find("unconfined", 1, true) or option:find("disable", 1, true) then
        deny("turns off protection (" .. option .. ")")
      elseif profile and profile ~= "builtin" then
        deny("brings a seccomp profile of its own, which may allow everything (" .. option .. ")")
      end
    end
    if #(svc.device_cgroup_rules or {}) > 0 then
      deny("opens devices with device_cgroup_rules: any container may make the node of a disk")
    end
    if svc.use_api_socket then
      deny("asks for the engine's socket (use_api_socket)")
    end
    for _, from in ipairs(svc.volumes_from or {}) do
      if starts_with(from, "container:") then
        deny("takes the volumes of " .. from .. ", which may be another's")
      end
    end
    check_hooks(svc.post_start)
    check_hooks(svc.pre_stop)
    for _, device in ipairs(svc.devices or {}) do
      check_device(type(device) == "table" and device.source or device)
    end
    for _, volume in ipairs(svc.volumes or {}) do
      check_volume(volume)
    end
  end,

  -- A named volume can be a bind mount in disguise; secrets and configs can name files of the node.
  validate_app = function(app, ctx)
    if contains(trusted, ctx.namespace) then
      return
    end
    for _, volume in pairs(app.volumes or {}) do
      local options = type(volume) == "table" and volume.driver_opts
      if options and (options.o or ""):find("bind", 1, true) then
        check_mount(options.device or "/")
      elseif options and options.type and options.type ~= "" and not contains(foreign, options.type) then
        deny("mounts a file system of the node (" .. options.type .. ")") -- a disk, or an overlay over any folder
      end
    end
  end,
}
